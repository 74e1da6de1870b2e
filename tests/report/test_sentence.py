"""The sentence says what a comparison means for its workload."""

from __future__ import annotations

import re

from kvolume.report.sentence import heading, percent, sentence, timing
from kvolume.report.table import styled
from kvolume.study.comparison import Comparison, compare
from kvolume.study.table import lines
from kvolume.workload import Workload


def test_it_names_the_best_policy_its_gain_certificate_and_queue(comparison: Comparison) -> None:
    text = sentence(comparison)
    assert re.search(
        r"^On pressed at load [\d.]+, svf has the lowest mean latency, \d+% below vllm, and is certified .*"
        r"; \d+% of the requests queued under it \(\d+% under vllm\)",
        text,
    )
    assert text.endswith(".")
    assert text.count("\n") == 0


def test_it_says_when_nothing_queues() -> None:
    calm = compare(Workload([0, 50, 100], [1, 2, 3], [4, 5, 6]), ("vllm", "svf"), kv_tokens=1000)
    assert "no request queues, so no policy can matter" in sentence(calm)


def test_it_says_when_the_tail_gets_worse_than_fcfs() -> None:
    # Two long requests among short ones that follow each other without a gap: svf lets the long ones wait for all.
    arrival = [0, 0, 0, *range(5, 500, 5)]
    workload = Workload(arrival, [10, 1, 1] + [10] * 99, [5, 14, 14] + [5] * 99, name="tail")
    comparison = compare(workload, ("fcfs", "svf"), kv_tokens=15)
    fcfs, svf = comparison.rows
    assert svf["p99"] > fcfs["p99"]
    assert "above that of fcfs" in sentence(comparison)


def test_a_single_policy_and_a_burst_are_told_too() -> None:
    burst = Workload([0, 0, 0], [5, 5, 5], [5, 5, 5], name="b")
    text = sentence(compare(burst, ("svf",), kv_tokens=12))
    assert text.startswith("On b, as one burst, svf has a mean latency of 10 rounds, and is certified")


def test_when_no_policy_finishes_there_is_nothing_to_recommend() -> None:
    cycle = Workload([0, 0], [1, 1], [4, 4])
    assert "no policy finishes" in sentence(compare(cycle, ("alpha-protection:alpha=0",), kv_tokens=7))


def test_heading_and_timing_have_the_numbers(comparison: Comparison) -> None:
    assert heading(comparison).startswith("pressed: 60 requests, load ")
    assert heading(comparison).endswith("40 KV tokens, rounds of 30 ms")
    assert re.match(r"Simulated 180 requests in [\d.e-]+ s, [\d,]+ requests per second\.", timing(comparison))


def test_a_claim_never_shrinks_in_rounding() -> None:
    assert percent(0.0501, up=True) == "5.1%"
    assert percent(0.1001, up=True) == "11%"
    assert percent(0.05) == "5.0%"


def test_the_styled_table_has_the_text_of_the_plain_one(comparison: Comparison) -> None:
    assert styled(lines(comparison, 100)).plain == comparison.table(100)
    assert any("bold" in str(span.style) for span in styled(lines(comparison, 100)).spans)
