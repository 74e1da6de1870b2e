"""The real engine on the CPU: reordering and preemption change no text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvolume.vllm import priority
from tests.vllm.engine_run import jobs

Runs = tuple[str, dict[str, Any]]  # how requests arrive, and the results by policy
ROOT = Path(__file__).parents[2]
POLICIES = (
    "stock", "fcfs:admission=greedy", "sjf:admission=greedy", "svf:admission=greedy",
    "svf:share=0.1,admission=greedy", "one-bit:admission=greedy", "svf",
)  # fmt: skip


@pytest.fixture(scope="module", params=["burst", "poisson"])
def runs(request: pytest.FixtureRequest, own_process: dict[str, str], tmp_path_factory: Any) -> Runs:
    folder = tmp_path_factory.mktemp("tiny")
    command = [sys.executable, "-m", "tests.vllm.engine_run", str(folder), request.param, *POLICIES]
    done = subprocess.run(command, cwd=ROOT, env=own_process, capture_output=True, text=True, timeout=560, check=False)
    lines = [line[7:] for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert done.returncode == 0, done.stderr[-3000:]
    return request.param, {result["policy"]: result for result in map(json.loads, lines)}


def test_texts_are_those_of_stock_under_every_policy(runs: Runs):
    _, results = runs
    assert set(results) == set(POLICIES)
    for result in results.values():
        assert result["texts"] == results["stock"]["texts"], result["policy"]
        assert result["lengths"] == [o for _, o in jobs()]
        assert not result["faults"]


def test_stock_order_is_kept_by_fcfs_and_a_burst_is_served_by_volume(runs: Runs):
    arrival, results = runs
    stock, fcfs, svf = (results[p] for p in ("stock", "fcfs:admission=greedy", "svf:admission=greedy"))
    for what in ("admitted", "mean", "preemptions"):
        assert fcfs[what] == stock[what]
    assert svf["mean"] < stock["mean"]
    assert results["svf"]["preemptions"] == 0
    if arrival == "burst":
        by_volume = sorted(range(len(jobs())), key=lambda i: (priority(*jobs()[i]), i))
        assert [int(i) for i in svf["admitted"]] == by_volume
        assert svf["mean"] < 0.7 * stock["mean"]
