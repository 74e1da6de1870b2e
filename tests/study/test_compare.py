"""A comparison says the same of the same spec, in the shape that is promised."""

from __future__ import annotations

import json

import pytest

from kvolume.study.comparison import EXTRA, Comparison, compare
from kvolume.workload import Workload

POLICY_KEYS = {
    "policy", "mean_latency", "p50", "p90", "p99", "p999", "max", "mean_per_token", "p95_per_token", "queued_share",
    "ratio_to_bound", "makespan", "kv_utilisation", "evictions", "injected", "finished", "rejected", "wall_seconds",
    "requests_per_second",
}  # fmt: skip
GOLDEN = Workload([0] * 6, [1, 5, 2, 0, 4, 1], [3, 1, 4, 2, 2, 1], name="golden")
CYCLE = Workload([0, 0], [1, 1], [4, 4], name="cycle")


@pytest.fixture(scope="module")
def golden() -> Comparison:
    return compare(GOLDEN, ("fcfs", "sjf", "svf:share=0"), kv_tokens=12)


def test_the_json_object_has_the_promised_keys(golden: Comparison) -> None:
    body = json.loads(golden.to_json())
    assert body.keys() == {"version", "unit", "workload", "bound", "policies"}
    assert body["unit"] == "rounds"
    assert body["workload"].keys() >= {"name", "requests", "load", "kv_tokens"}
    assert body["workload"]["load"] is None  # of a burst
    assert body["bound"].keys() == {"mean_latency", "kind"}
    assert [row["policy"] for row in body["policies"]] == ["fcfs", "sjf", "svf:share=0"]
    for row in body["policies"]:
        assert row.keys() == POLICY_KEYS | set(EXTRA)


def test_the_golden_instance_has_its_published_latencies(golden: Comparison) -> None:
    assert [6 * row["mean_latency"] for row in golden.rows] == pytest.approx([20, 17, 17])
    assert 6 * golden.to_dict()["bound"]["mean_latency"] == pytest.approx(13.5795, abs=1e-4)
    assert golden.rows[1]["ratio_to_bound"] == pytest.approx(17 / 13.5795, abs=1e-4)


def test_without_timings_the_object_is_the_same_again(golden: Comparison) -> None:
    again = compare(GOLDEN, ("fcfs", "sjf", "svf:share=0"), kv_tokens=12)
    assert golden.to_json(timings=False) == again.to_json(timings=False)
    assert "wall_seconds" not in golden.to_json(timings=False)


def test_a_policy_that_cycles_has_no_latencies_and_says_so() -> None:
    comparison = compare(CYCLE, ("fcfs", "alpha-protection:alpha=0"), kv_tokens=7)
    fcfs, cycling = comparison.rows
    assert fcfs["status"] == "finished"
    assert cycling["status"] == "livelock"
    assert cycling["mean_latency"] is None
    assert cycling["ratio_to_bound"] is None
    assert cycling["injected"] == cycling["finished"] + cycling["running_or_waiting"] + cycling["rejected"]
    assert "does not finish" in comparison.table()


def test_rejected_requests_are_counted_and_left_out_of_the_bound() -> None:
    workload = Workload([0, 0, 0], [1, 50, 2], [3, 5, 4])
    comparison = compare(workload, ("fcfs", "svf"), kv_tokens=12, skip_oversized=True)
    assert [row["rejected"] for row in comparison.rows] == [1, 1]
    assert all(row["injected"] == row["finished"] + row["rejected"] == 3 for row in comparison.rows)
    assert all(row["ratio_to_bound"] >= 1 for row in comparison.rows)


def test_progress_names_the_policy() -> None:
    seen: list[tuple[str, int, int]] = []
    compare(GOLDEN, ("fcfs", "svf"), kv_tokens=12, engine="leap", progress=lambda *step: seen.append(step))
    assert ("svf", 6, 6) in seen
