"""`kvolume serve --dry-run` and what it fills in; the opt-in plug-in entry point."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from kvolume.cli import main
from kvolume.errors import KvolumeError
from kvolume.vllm import launch, plugin


def test_serve_fills_in_the_flags_and_says_so(capsys: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VLLM_PLUGINS", raising=False)
    given = ["--policy", "sjf:admission=greedy", "--", "m", "--additional-config", '{"a": 1}']
    assert main(["serve", "--dry-run", *given]) == 0
    out, err = capsys.readouterr()
    argv = shlex.split(out)
    assert argv[:5] == ["vllm", "serve", "m", "--scheduler-cls", "kvolume.vllm.Scheduler"]
    assert json.loads(argv[6]) == {"a": 1, "kvolume": {"policy": "sjf:admission=greedy"}}
    assert "policy sjf:admission=greedy, mode on: added --scheduler-cls kvolume.vllm.Scheduler" in err
    assert "/metrics" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs the arguments of `vllm serve`"),
        (["m", "--scheduler-cls", "other.Scheduler"], "--scheduler-cls other.Scheduler and kvolume's .* exclude"),
        (["m", "--additional-config={"], "must be a JSON object"),
        (["m", "--additional-config", "[1]"], r"must be a JSON object. Got '\[1\]'"),
        (["m", "--additional-config"], "--additional-config needs a value"),
        (["m", "--additional-config", '{"kvolume": {"policy": "svg"}}'], "Did you mean 'svf'"),
    ],
)
def test_serve_refuses_with_a_sentence(arguments: list[str], message: str):
    with pytest.raises(KvolumeError, match=message):
        launch.command(arguments, None, None, {}, dry_run=True)


def test_the_environment_is_left_as_it_is_and_missing_metrics_are_announced():
    environ = {"VLLM_PLUGINS": "other", "A": "b"}
    made = launch.command(["m"], None, "observe", environ, dry_run=True)
    assert made.environ == environ
    assert made.argv[-1] == '{"kvolume": {"mode": "observe"}}'
    assert made.notes[-1] == "VLLM_PLUGINS leaves kvolume out: its metrics will not be on /metrics"
    assert len(launch.command(["m"], None, None, {"VLLM_PLUGINS": "a,kvolume"}, dry_run=True).notes) == 1


def test_the_entry_point_acts_when_and_only_when_asked(harness: Any, monkeypatch: pytest.MonkeyPatch):
    from vllm.config.scheduler import SchedulerConfig

    from kvolume.vllm.scheduler import Mixin

    before = SchedulerConfig.get_scheduler_cls
    monkeypatch.setattr(SchedulerConfig, "get_scheduler_cls", before)
    monkeypatch.delenv("KVOLUME_ENABLE", raising=False)
    plugin.register()
    assert SchedulerConfig.get_scheduler_cls is before
    monkeypatch.setenv("KVOLUME_ENABLE", "1")
    plugin.register()
    plugin.register()
    config = harness.make().vllm_config.scheduler_config
    assert issubclass(config.get_scheduler_cls(), Mixin)
    scheduler = harness.make(config.get_scheduler_cls(), settings={"policy": "sjf"})
    assert scheduler._kvolume.policy.name == "sjf"


def test_importing_kvolume_vllm_needs_no_vllm():
    import subprocess
    import sys

    code = "import sys, kvolume.vllm; kvolume.vllm.priority(3, 4); assert not {'vllm', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
