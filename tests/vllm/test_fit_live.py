"""From a real server on the CPU to a fitted clock and its table: probe, step log, benchmark, validation."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvolume import ParameterError
from kvolume.study import fit
from kvolume.study.validate import METRICS, STATISTICS, validate
from kvolume.vllm import probe as probing
from tests.vllm.test_server import FLAGS, model, server

__all__ = ["model"]  # a fixture
SERVER = (*FLAGS, "--no-enable-prefix-caching", "--enable-logging-iteration-details")
ENGINE = " ".join(flag for flag in FLAGS[2:-2]) + " --skip-tokenizer-init"


def bench(url: str, model: str, rate: float, n: int, folder: Path, env: dict[str, str]) -> Path:
    """Run vLLM's own benchmark client."""
    command = [
        sys.executable, "-m", "kvolume.vllm.main", "bench", "serve", "--backend", "openai", "--base-url", url,
        "--endpoint", "/v1/completions", "--model", "tiny", "--tokenizer", model, "--dataset-name", "random",
        "--random-input-len", "60", "--random-output-len", "40", "--random-range-ratio", "0.8", "--num-prompts", str(n),
        "--request-rate", str(rate), "--ignore-eos", "--save-result", "--save-detailed", "--result-dir", str(folder),
        "--result-filename", f"rate-{rate}.json", "--disable-tqdm",
    ]  # fmt: skip
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / f"rate-{rate}.json"


def check(clock: Path, result: Path, least_ms: float) -> dict[str, float | None]:
    """The table is whole and its numbers are such as an engine may give: nothing here is a claim of accuracy."""
    found = validate(result, str(clock))
    assert len(found.differences) == len(METRICS) * len(STATISTICS)
    for key, off in found.differences.items():
        assert off is not None, key
        assert math.isfinite(off), key
        assert least_ms < (found.simulated[key] or 0) < 60_000, key
    assert found.table().count("\n") > 20
    return found.differences


def test_a_server_is_fitted_and_its_benchmark_set_beside_the_simulation(
    own_process: dict[str, str], model: str, tmp_path: Path
) -> None:
    log = tmp_path / "steps.jsonl"
    env = own_process | {"KVOLUME_STEP_LOG": str(log)}
    command = [sys.executable, "-m", "kvolume", "serve", "--mode", "observe", "--policy", "fcfs:admission=greedy",
               "--", model, *SERVER]  # fmt: skip
    with server(command, env, tmp_path / "log") as (url, _):
        result = bench(url, model, 12.0, 50, tmp_path, own_process)
    by_steps = fit.fit_files([log, result])
    assert (by_steps.profile.kv_tokens, by_steps.profile.provenance["vllm"] is None) == (19 * 32, False)
    assert "block_size=32,max_num_batched_tokens=512,max_num_seqs=16" in by_steps.profile.serving
    assert by_steps.profile.fit["rows"] > 200
    assert by_steps.profile.seconds["base"] > 1e-4  # no step of a real engine is quicker
    check(fit.save(by_steps, str(tmp_path / "steps.json")), result, 0.1)
    by_bench = fit.fit_files([result], 19 * 32)
    # on a busy machine tokens reach the client in bunches, and then their times say next to nothing
    check(fit.save(by_bench, str(tmp_path / "bench.json")), result, 0.0)
    by_vllm = fit.fit_files([tmp_path / "log"])
    assert by_vllm.profile.kv_tokens == 20 * 32  # vLLM's line counts the null block
    assert by_vllm.profile.fit["rows"] > 200


def test_a_probe_measures_the_engine_that_is_installed_here(
    own_process: dict[str, str], model: str, tmp_path: Path
) -> None:
    clock = tmp_path / "clock.json"
    command = [sys.executable, "-m", "kvolume", "fit", "clock", "--probe", "--model", model, "--vllm-args", ENGINE,
               "--name", str(clock)]  # fmt: skip
    env = own_process | {"VLLM_PLUGINS": ""}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == str(clock)
    found: dict[str, Any] = json.loads(clock.read_text())
    assert found["kv_tokens"] == 19 * 32
    assert found["provenance"]["source"] == "steps"
    assert found["fit"]["rows"] > 300
    assert found["seconds"]["base"] > 1e-4


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [("m", ["--no-such", "1"], "vLLM does not understand '--no-such 1'"),
     ("no-such-model", [], "vLLM cannot start with model 'no-such-model': ")],
)  # fmt: skip
def test_what_vllm_refuses_gets_a_sentence(
    harness: Any, monkeypatch: pytest.MonkeyPatch, model: str, arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(probing, "ENVIRONMENT", {})
    with pytest.raises(ParameterError, match=re.escape(message)):
        probing.probe(model, arguments)
