"""What the plug-in does where something is not as it should be: another vLLM, a policy that fails, no vLLM at all."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kvolume.policy import Policy, Volume
from kvolume.vllm.harness import Job

ROOT = Path(__file__).parents[2]
JOBS = [Job(10 + 7 * (k * 31 % 40), 5 + k % 9) for k in range(60)]


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    """The plug-in's warnings and errors, each once (it may reach the handler by two ways)."""
    found = {id(r): r.getMessage() for r in log.records if r.levelno >= logging.WARNING and r.name.endswith("kvolume")}
    return list(found.values())


def make(harness: Any, **more: Any) -> Any:
    from kvolume.vllm.scheduler import Scheduler

    return harness.make(Scheduler, kv_blocks=60, settings={"policy": "svf:admission=greedy"}, **more)


@pytest.mark.parametrize("version", ["0.19.1", "0.34.0+cpu", "1.0", "unknown"])
def test_an_untested_version_is_one_warning_and_works(
    harness: Any, plugin_log: Any, monkeypatch: pytest.MonkeyPatch, version: str
):
    from kvolume.vllm import compat

    monkeypatch.setattr(compat, "version", lambda: version)
    scheduler = make(harness)
    assert len(harness.drive(scheduler, JOBS).finish) == len(JOBS)
    assert scheduler._kvolume is not None
    assert warnings(plugin_log) == [f"kvolume is tested with vLLM 0.20 to 0.33; this is {version}"]


def test_a_tested_version_is_no_warning(harness: Any, plugin_log: Any):
    harness.drive(make(harness), JOBS)
    assert warnings(plugin_log) == []


def without(name: str) -> type[Any]:
    """vLLM's scheduler class as if this attribute had another name: the plug-in does not find it."""
    from vllm.v1.core.sched.scheduler import Scheduler as Stock

    class Renamed(Stock):
        def __getattribute__(self, wanted: str) -> Any:
            if wanted == name and sys._getframe(1).f_globals["__name__"] == "kvolume.vllm.compat":
                raise AttributeError(name)
            return super().__getattribute__(wanted)

    return Renamed


@pytest.mark.parametrize("name", ["waiting", "running", "requests", "kv_cache_config", "kv_cache_manager"])
@pytest.mark.parametrize("version", ["0.32.0", "0.99.0"])
def test_without_an_attribute_it_is_stock_with_one_warning(
    harness: Any, plugin_log: Any, monkeypatch: pytest.MonkeyPatch, name: str, version: str
):
    from kvolume.vllm import compat
    from kvolume.vllm.scheduler import mixed

    monkeypatch.setattr(compat, "version", lambda: version)
    stock = harness.drive(harness.make(kv_blocks=60), JOBS)
    scheduler = harness.make(mixed(without(name)), kv_blocks=60, settings={"policy": "svf"})
    assert scheduler._kvolume is None
    assert harness.drive(scheduler, JOBS).schedule == stock.schedule
    (warning,) = warnings(plugin_log)
    assert "kvolume is off: this vLLM's scheduler lacks " in warning
    assert name in warning
    assert ("is tested with" in warning) == (version == "0.99.0")


@pytest.mark.parametrize("name", ["_preempt_request", "_free_request"])
def test_without_a_method_that_it_overrides_it_is_off(name: str):
    from types import SimpleNamespace

    from kvolume.vllm import compat
    from kvolume.vllm.scheduler import Mixin

    base = type("Base", (), {m: lambda self: None for m in compat.OVERRIDDEN if m != name})
    scheduler = type("Ours", (Mixin, base), {"__init__": lambda self: None})()
    scheduler.running = []
    assert [m for m in compat.OVERRIDDEN if m in compat.missing(scheduler)] == [name]
    assert "running" not in compat.missing(scheduler)
    assert "requests" in compat.missing(SimpleNamespace())


def test_whatever_else_fails_while_it_is_built_leaves_stock(
    harness: Any, plugin_log: Any, monkeypatch: pytest.MonkeyPatch
):
    from kvolume.vllm import compat

    monkeypatch.setattr(compat, "usable_blocks", lambda scheduler: scheduler.no_such_pool)
    stock = harness.drive(harness.make(kv_blocks=60), JOBS)
    scheduler = make(harness)
    assert scheduler._kvolume is None
    assert harness.drive(scheduler, JOBS).schedule == stock.schedule
    (warning,) = warnings(plugin_log)
    assert "no_such_pool" in warning


@dataclass(frozen=True)
class FailsLate(Volume):
    """Smallest volume first; no key for requests that come after the 20th."""

    def key(self, request: Any) -> Any:
        if request.id >= 20:
            raise RuntimeError("no key")
        return super().key(request)


def test_a_policy_that_fails_in_mid_run_is_logged_once_counted_and_replaced_by_arrival_order(
    harness: Any, plugin_log: Any, monkeypatch: pytest.MonkeyPatch
):
    from kvolume.vllm.scheduler import Scheduler
    from kvolume.vllm.settings import Settings

    monkeypatch.setattr(Settings, "planner", lambda self: Policy(FailsLate(), name="fails-late"))
    scheduler = harness.make(Scheduler, kv_blocks=60, max_num_seqs=1)
    jobs = [Job(j.prompt, j.output, 0 if k < 20 else 400) for k, j in enumerate(JOBS)]
    trace = harness.drive(scheduler, jobs)
    by_volume = sorted(range(20), key=lambda k: (scheduler_volume(jobs[k]), k))
    assert trace.admitted == [str(k) for k in [*by_volume, *range(20, 60)]]
    assert len(trace.finish) == len(jobs)
    assert scheduler._kvolume.guard.faults == {"the policy's order": 40}
    (message,) = warnings(plugin_log)
    assert "the policy's order failed, arrival order from now on" in message


def scheduler_volume(job: Job) -> int:
    from kvolume.vllm import priority

    return priority(job.prompt, job.output)


def test_a_fault_beside_a_step_leaves_the_step(harness: Any, plugin_log: Any):
    scheduler = make(harness)

    def broken(*args: Any) -> None:
        raise RuntimeError("no answer")

    scheduler._kvolume._publish = broken
    scheduler._kvolume.metrics.next_s = 0.0
    assert len(harness.drive(scheduler, JOBS).finish) == len(JOBS)
    assert scheduler._kvolume.guard.faults["after a step"] > 0
    assert sum("after a step failed" in m for m in warnings(plugin_log)) == 1


def test_without_vllm_the_priority_works_and_what_needs_vllm_is_skipped_with_its_reason():
    """In a process in which `import vllm` fails."""
    code = """
import sys
sys.modules["vllm"] = None
from kvolume.vllm import priority
assert priority(512, 64) == 34784
import pytest
raise SystemExit(pytest.main(["-o", "addopts=", "-q", "-rs", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
    files = ["test_fire.py", "test_harness_clock.py", "test_engine.py", "test_versions.py"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("KVOLUME_")}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT), env.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", code, *(f"tests/vllm/{name}" for name in files)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " skipped in" in done.stdout
    assert not {"passed", "failed", "error"} & set(done.stdout.split("=")[-1].split())
    assert "needs vLLM: run scripts/vllm-env.sh DIR" in done.stdout
