"""A live OpenAI server on the CPU, started by `kvolume serve` and driven by vLLM's own benchmark client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--served-model-name", "tiny", "--load-format", "dummy", "--dtype", "float32", "--max-model-len", "512",
    "--enforce-eager", "--block-size", "32", "--num-gpu-blocks-override", "20", "--max-num-seqs", "16",
    "--max-num-batched-tokens", "512", "--host", "127.0.0.1",
)  # fmt: skip
START_S = 180


def post(url: str, body: dict[str, Any], timeout: float = 120) -> tuple[int, Any]:
    data = json.dumps({"model": "tiny", "temperature": 0, "ignore_eos": True} | body).encode()
    sent = urllib.request.Request(f"{url}/v1/completions", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(sent, timeout=timeout) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def server(command: list[str], env: dict[str, str], log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start, wait for /health, and stop: first politely."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as out:
        command = [*command, "--port", str(port)]
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + START_S
        while True:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.3)
        yield url, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def model(own_process: dict[str, str], tmp_path_factory: Any) -> str:
    from kvolume.vllm.tiny import write

    return str(write(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def live(own_process: dict[str, str], model: str, tmp_path_factory: Any) -> Iterator[tuple[str, Path]]:
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "kvolume", "serve", "--", model, *FLAGS]
    with server(command, own_process, log) as (url, _):
        yield url, log


def test_benchmark_client_and_metrics(live: tuple[str, Path], own_process: dict[str, str], model: str, tmp_path: Path):
    url, log = live
    assert "kvolume: policy fair-svf, mode on" in log.read_text()
    command = [
        sys.executable, "-m", "kvolume.vllm.main", "bench", "serve", "--backend", "openai", "--base-url", url,
        "--endpoint", "/v1/completions", "--model", "tiny", "--tokenizer", model, "--dataset-name", "random",
        "--random-input-len", "60", "--random-output-len", "60", "--random-range-ratio", "0.9", "--num-prompts", "40",
        "--request-rate", "inf", "--ignore-eos", "--save-result", "--result-dir", str(tmp_path),
        "--result-filename", "result.json", "--disable-tqdm",
    ]  # fmt: skip
    done = subprocess.run(command, env=own_process, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["completed"], result["failed"]) == (40, 0)
    metrics = scrape(url)
    assert metrics["kvolume:output_tokens_count"] == 40
    assert metrics["kvolume:out_of_turn_total"] > 5
    assert metrics["kvolume:waiting"] == 0
    assert metrics["kvolume:admitted_total"] == 40 + metrics.get('kvolume:evictions_total{reason="memory"}', 0)
    assert not any("policy_faults_total{" in name for name in metrics)


def scrape(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("kvolume:")}


@pytest.mark.parametrize("hint", ["abc", -1, 1e300, [1, 2], "nan", "9" * 400, ""])
def test_a_bad_hint_serves_its_request_and_everybody_elses(live: tuple[str, Path], hint: Any):
    url, _ = live
    status, answer = post(url, {"prompt": "hello", "max_tokens": 4, "vllm_xargs": {"predicted_output_len": hint}})
    assert (status, answer["usage"]["completion_tokens"]) == (200, 4)
    assert post(url, {"prompt": "hello", "max_tokens": 4})[0] == 200


def test_a_short_request_passes_long_ones_that_came_before(live: tuple[str, Path]):
    url, _ = live
    done: list[str] = []

    def send(name: str, prompt: int, output: int) -> None:
        hint = {"predicted_output_len": output}
        status, _ = post(url, {"prompt": "a" * prompt, "max_tokens": output, "vllm_xargs": hint})
        assert status == 200
        done.append(name)

    with ThreadPoolExecutor(100) as pool:
        for k in range(80):
            pool.submit(send, f"long {k}", 150, 40)  # three fit and two blocks are left: nobody is preempted
        time.sleep(0.15)
        pool.submit(send, "short", 5, 4)
    assert done.index("short") < 70  # about the tenth; vLLM's own order answers it last, after seconds


@pytest.mark.parametrize("which", ["stock", "kvolume"])
def test_a_killed_engine_leaves_no_client_hanging(which: str, own_process: dict[str, str], model: str, tmp_path: Path):
    """kill -9 in mid-run: every client gets an error soon and the server ends, as with stock vLLM."""
    import psutil

    command = [sys.executable, "-m", "kvolume.vllm.main", "serve", model, *FLAGS]
    if which == "kvolume":
        command = [sys.executable, "-m", "kvolume", "serve", "--", model, *FLAGS]
    with server(command, own_process, tmp_path / "log") as (url, process):
        children = psutil.Process(process.pid).children(recursive=True)
        engine = [c for c in children if "EngineCore" in " ".join(c.cmdline()) or "EngineCore" in c.name()]
        assert engine
        with ThreadPoolExecutor(12) as pool:
            answers = [pool.submit(post, url, {"prompt": "a" * 200, "max_tokens": 300}, 60) for _ in range(12)]
            time.sleep(0.3)
            begin = time.monotonic()
            engine[0].kill()
            statuses = []
            for answer in answers:
                try:
                    statuses.append(answer.result()[0])
                except OSError:
                    statuses.append(0)  # the connection was closed
        assert time.monotonic() - begin < 30
        assert all(s != 200 for s in statuses[-3:])
        process.wait(30)
