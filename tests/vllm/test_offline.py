"""`LLM(scheduler_cls=...)` with the engine in a process of its own: every kind of request answers as in stock vLLM."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.vllm.offline_run import KINDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def texts(own_process: dict[str, str], tmp_path_factory: Any) -> dict[str, dict[str, Any]]:
    """By policy and kind."""
    found = {}
    for policy in ("stock", "fair-svf"):
        command = [sys.executable, "-m", "tests.vllm.offline_run", str(tmp_path_factory.mktemp("tiny")), policy]
        done = subprocess.run(command, cwd=ROOT, env=own_process, capture_output=True, text=True, timeout=280,
                              check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        found[policy] = json.loads(next(x[7:] for x in done.stdout.splitlines() if x.startswith("RESULT ")))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_those_of_stock(texts: dict[str, dict[str, Any]], kind: str):
    assert texts["fair-svf"][kind] == texts["stock"][kind]


def test_parallel_sampling_and_structured_output_do_what_they_say(texts: dict[str, dict[str, Any]]):
    mine = texts["fair-svf"]
    for answers in mine["several"]:
        assert len({tuple(a) for a in answers}) == 3
        assert all(len(a) == 40 for a in answers)
    assert all(t in ("yes", "no") for t in mine["choice"])
    assert all(re.fullmatch("[ab]{3}-[0-9]{4}", t) for t in mine["regex"])
    assert mine["aborted"] == 0
