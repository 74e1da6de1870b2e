"""The table fits the width it is given, whole."""

from __future__ import annotations

from typing import Any

import pytest

from kvolume.study.table import BEST, layout, number

LABELS = ("vllm", "fcfs", "one-bit (in sample)", "svf", "svf:share=0.1,admission=greedy")


def row(label: str, factor: float = 1.0, **changes: Any) -> dict[str, Any]:
    return {
        "label": label,
        "status": "finished",
        "mean_latency": 35.234 * factor,
        "p50": 12.0,
        "p90": 121.0 * factor,
        "p99": 1215.0 * factor,
        "max": 45492.0 * factor,
        "mean_per_token": 1.234 * factor,
        "p95_per_token": 14.2 * factor,
        "queued_share": 0.3 * factor,
        "makespan": 123456.0,
        "kv_utilisation": 0.9 / factor,
        "evictions": int(50 * factor),
        "ratio_to_bound": 1.04 * factor,
    } | changes


ROWS = [row(label, 1 + i / 10) for i, label in enumerate(LABELS)]


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_every_policy_and_column_is_there_and_nothing_is_cut(width: int) -> None:
    text = "\n".join(line.text for line in layout(ROWS, "rounds", width))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for word in ("vllm", "fcfs", "one-bit", "(in sample)", "svf:share=0.1,", "admission=greedy"):
        assert word in text
    for title in ("mean", "P50", "P90", "P99", "max", "P95", "queued", "span", "used", "tions", "bound"):
        assert title in text


@pytest.mark.parametrize("width", [100, 140])
def test_a_usual_comparison_is_one_table(width: int) -> None:
    text = "\n".join(line.text for line in layout(ROWS, "rounds", width))
    assert text.count("policy") == 1


def test_the_best_value_of_a_column_is_marked_without_colour() -> None:
    lines = layout([row("slow", 2), row("quick", 1)], "s", 140)
    slow, quick = (next(line for line in lines if line.text.startswith(label)) for label in ("slow", "quick"))
    assert slow.text.count(BEST) == 0
    assert quick.text.count(BEST) == 10  # P50 and makespan are equal
    assert next(quick.text[a:b].strip() for a, b in quick.bold) == "35.2*"


def test_nothing_is_marked_where_all_are_equal_or_alone() -> None:
    for rows in ([row("a")], [row("a"), row("b")]):
        assert not any(BEST in line.text for line in layout(rows, "s", 140))


def test_a_policy_that_does_not_finish_says_so_in_place_of_numbers() -> None:
    lines = layout([row("svf"), row("stuck", status="livelock", mean_latency=None)], "s", 100)
    assert any(line.text == "stuck   does not finish" for line in lines)


@pytest.mark.parametrize(
    ("value", "decimals", "compact", "text"),
    [
        (0.05, 2, False, "0.05"),
        (45492.0, 0, False, "45,492"),
        (45492.0, 0, True, "45.5k"),
        (999_499.0, 0, True, "999k"),
        (999_500.0, 0, True, "1.0M"),
        (154e6, 0, False, "154M"),
    ],
)
def test_numbers_are_short_and_exact_enough(value: float, decimals: int, compact: bool, text: str) -> None:
    assert number(value, decimals, compact) == text
