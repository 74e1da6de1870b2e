"""What an engine's process counts is on the /metrics of the process that started it, and the folder goes with that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = """
from collections import Counter
from prometheus_client import Counter as Total
from kvolume.vllm.metrics import Metrics
def count():
    metrics = Metrics()
    metrics.counts["admitted"], metrics.decisions = 7, 9
    metrics.publish(Counter({"hint": 1}), 3, 0.5)
    metrics.counts["admitted"] = 8
    metrics.publish(Counter({"hint": 1}), 2, 0.5)
    Total("theirs", "made by somebody else").inc()
"""
SERVER = """
import multiprocessing, os, sys
from prometheus_client import REGISTRY, generate_latest, Counter as Total
from kvolume.vllm import plugin
from metrics_engine import count
if __name__ == "__main__":
    Total("mine", "of the API server").inc()
    plugin.register()
    plugin.register()
    if sys.argv[-1] == "inside":
        count()
    else:
        child = multiprocessing.get_context("spawn").Process(target=count)
        child.start()
        child.join()
    print(generate_latest(REGISTRY).decode())
    print("FOLDER", os.environ.get("KVOLUME_METRICS_DIR"))
"""


def run(tmp_path: Path, *arguments: str) -> str:
    (tmp_path / "metrics_engine.py").write_text(ENGINE)
    (tmp_path / "server.py").write_text(SERVER)
    root = Path(__file__).parents[2]
    leave_out = ("PROMETHEUS_MULTIPROC_DIR", "KVOLUME_METRICS_DIR", "KVOLUME_ENABLE")
    env = {k: v for k, v in os.environ.items() if k not in leave_out}
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(root / "src")])
    done = subprocess.run([sys.executable, "server.py", *arguments], cwd=tmp_path, env=env, capture_output=True,
                          text=True, check=True, timeout=120)  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("where", ["in a process of its own", "inside"])
def test_an_engines_counts_are_on_its_servers_page_and_the_folder_goes(tmp_path: Path, where: str):
    pytest.importorskip("prometheus_client", reason="comes with vLLM")
    page = run(tmp_path, "--scheduler-cls=kvolume.vllm.Scheduler", where)
    assert "kvolume:admitted_total 8.0" in page
    assert "kvolume:decisions_total 9.0" in page
    assert 'kvolume:policy_faults_total{where="hint"} 1.0' in page
    assert "kvolume:waiting 2.0" in page
    assert "mine_total 1.0" in page
    assert ("theirs_total" in page) == (where == "inside")  # of what others count, nothing is moved
    folder = page.split("FOLDER ")[1].strip()
    assert "kvolume-metrics-" in folder
    assert not Path(folder).exists()


def test_nothing_is_made_where_nobody_asked(tmp_path: Path):
    pytest.importorskip("prometheus_client", reason="comes with vLLM")
    page = run(tmp_path, "--scheduler-cls", "another.Scheduler")
    assert page.split("FOLDER ")[1].strip() == "None"
    assert "kvolume:" not in page
