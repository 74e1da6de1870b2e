"""Charts are the same bytes for the same comparison, and whole."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from kvolume.study.comparison import Comparison, compare
from kvolume.workload import Workload

pytest.importorskip("matplotlib")

from kvolume.report.charts import draw

NAMES = ["kv_use.svg", "latency_cdf.svg", "queue_length.svg"]


def test_charts_are_deterministic_svg_without_a_date(comparison: Comparison, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        assert sorted(path.name for path in draw(comparison, folder)) == NAMES
    for name in NAMES:
        one, two = ((folder / name).read_bytes() for folder in folders)
        assert one == two
        assert b"dc:date" not in one
        ET.fromstring(one)


def test_every_policy_is_named_in_every_chart(in_seconds: Comparison, tmp_path: Path) -> None:
    draw(in_seconds, tmp_path)
    for name in NAMES:
        text = (tmp_path / name).read_text()
        assert "vllm" in text
        assert "svf" in text
    assert "budget 40 tokens" in (tmp_path / "kv_use.svg").read_text()


def test_a_policy_that_does_not_finish_is_named_and_not_drawn(tmp_path: Path) -> None:
    workload = Workload([0, 0], [1, 1], [4, 4], name="cycle")
    for policies in (("fcfs", "alpha-protection:alpha=0"), ("alpha-protection:alpha=0",)):
        draw(compare(workload, policies, kv_tokens=7), tmp_path)
        assert "does not finish" in (tmp_path / "latency_cdf.svg").read_text()


def test_a_large_comparison_is_drawn_in_seconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    workload = Workload(None, rng.integers(1, 2000, 100_000), rng.integers(1, 400, 100_000)).at_load(0.9, 131_072)
    comparison = compare(workload, ("fcfs", "svf"))
    begin = time.perf_counter()
    draw(comparison, tmp_path)
    assert time.perf_counter() - begin < 20
