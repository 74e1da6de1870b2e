"""The numbered invariants of ARCHITECTURE.md, each a property over policies, clocks and predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import Small, instances, policies

from kvolume import InputError, ParameterError, Workload, lower_bound, simulate

NO_EVICTION = ("fcfs", "sjf", "svf", "svf:share=0.3", "svf:backfill=3", "peak", "longest-first", "svf:aging=log")


def run(small: Small, policy: str) -> object:
    return simulate(small.workload, policy, kv_tokens=small.kv_tokens, clock=small.clock)


@settings(max_examples=500)
@given(instances(), policies)
def test_i1_conservation(small: Small, policy: str) -> None:
    """Injected = finished + running or waiting + rejected."""
    row = run(small, policy).metrics()
    assert row["injected"] == row["finished"] + row["running_or_waiting"] + row["rejected"] == len(small.workload)


@settings(max_examples=500)
@given(instances(), policies)
def test_i2_memory_never_over_the_budget(small: Small, policy: str) -> None:
    """Counted again from the stays in the cache, round by round."""
    result = run(small, policy)
    held = dict.fromkeys(range(int(result.episodes.end.max(initial=0))), 0)
    for row, begin, end, kept in zip(*result.episodes, strict=True):
        for k in range(end - begin):
            held[begin + k] += small.workload.prompt_tokens[row] + kept + k + 1
    assert max(held.values(), default=0) <= small.kv_tokens  # a policy may never start anybody


@settings(max_examples=500)
@given(instances(), policies)
def test_i3_nothing_starts_before_it_arrives_and_times_are_in_order(small: Small, policy: str) -> None:
    result = run(small, policy)
    done = result.done
    assert (result.start[done] >= result.arrival[done]).all()
    assert (result.first_token[done] > result.start[done]).all()
    assert (result.finish[done] >= result.first_token[done]).all()


@settings(max_examples=500)
@given(instances(), policies)
def test_i4_every_request_finishes_unless_the_run_says_livelock(small: Small, policy: str) -> None:
    result = run(small, policy)
    assert result.done.all() or result.status == "livelock"
    if "alpha" not in policy and "keep=0" not in policy and "protected" not in policy:
        assert result.status == "finished"


@settings(max_examples=400)
@given(instances(), policies)
def test_i6_no_policy_beats_the_bound(small: Small, policy: str) -> None:
    result = run(small, policy)
    if result.status == "finished":
        assert result.total_latency >= lower_bound(small.workload, small.kv_tokens, clock=small.clock).total_latency * (
            1 - 1e-9
        )


@given(instances(), policies)
def test_i7_same_seed_same_bytes(small: Small, policy: str) -> None:
    x, y = run(small, policy), run(small, policy)
    assert x.finish.tobytes() == y.finish.tobytes()


@given(instances(predictions=False), st.sampled_from(NO_EVICTION))
def test_look_ahead_with_exact_lengths_never_evicts(small: Small, policy: str) -> None:
    result = run(small, policy)
    assert result.evictions.sum() == 0
    ran = result.episodes.end - result.episodes.begin
    assert (ran == small.workload.output_tokens[result.episodes.request]).all()


@given(instances(), policies)
def test_evicted_requests_that_keep_their_tokens_make_each_token_once(small: Small, policy: str) -> None:
    result = run(small, policy)
    if "keep=0" in policy or "alpha" in policy:
        return
    made = np.bincount(result.episodes.request, result.episodes.end - result.episodes.begin, len(small.workload))
    assert made.tolist() == small.workload.output_tokens.tolist()


@settings(max_examples=300)
@given(instances(predictions=False, clocks=False), st.floats(0.05, 1.0), st.sampled_from(("look-ahead", "greedy")))
def test_i9_arrival_share_bounds_the_volume_that_overtakes(small: Small, share: float, admission: str) -> None:
    """Volume admitted between j's arrival and its start is at most (Q_j + max(v_j, e_j))/share.

    Q_j is the older volume that waits when j arrives; e_j the largest older request that is evicted while j waits (0
    with look-ahead). Admitted for the first time: who comes back is not charged again.
    """
    result = simulate(small.workload, f"svf:share={share},admission={admission}", kv_tokens=small.kv_tokens)
    v, a, x = small.workload.volumes(), result.arrival, result.start
    stays = [[] for _ in v]
    for row, begin, end, _ in zip(*result.episodes, strict=True):
        stays[row].append((begin, end))

    def waits(i: int, t: int) -> bool:
        """Does i, which has arrived, wait at the beginning of round t, before its admissions?"""
        return result.finish[i] > t and not any(begin < t < end for begin, end in stays[i])

    def is_evicted(i: int, t: int, until: int) -> bool:
        return any(t < end <= until and end < result.finish[i] for _, end in stays[i])

    for j in range(len(v)):
        before = [i for i in range(len(v)) if (a[i], i) < (a[j], j)]
        older_waiting = sum(v[i] for i in before if waits(i, a[j]))
        evicted = max((v[i] for i in before if is_evicted(i, a[j], x[j])), default=0)
        admitted = sum(v[i] for i in range(len(v)) if i != j and a[j] <= x[i] < x[j])
        assert admitted <= (older_waiting + max(v[j], evicted)) / share * (1 + 1e-9)


@settings(max_examples=300)
@given(instances(most=10, predictions=False, clocks=False, spread=0), st.floats(0, 0.9))
def test_arrival_share_keeps_the_burst_guarantee_against_the_bound_of_the_theorem(small: Small, share: float) -> None:
    """TEL <= (1 + 2/((1-alpha)(1-share))) OPT, with OPT replaced by what the proof uses: prefix volumes."""
    w, m = small.workload, small.kv_tokens
    alpha = float((w.prompt_tokens + w.output_tokens).max() / m)
    if alpha >= 1:
        return
    result = simulate(w, f"svf:share={share}", kv_tokens=m)
    prefix = lower_bound(w, m, kind="prefix").total_latency / (1 - 1e-12)
    waiting = 2 / ((1 - alpha) * (1 - share)) * prefix
    assert result.total_latency <= waiting + float(w.output_tokens.sum()) + 1e-6


def test_i10_a_request_that_can_never_fit_is_refused_with_its_numbers() -> None:
    w = Workload([0, 0], [5, 90], [5, 20])
    with pytest.raises(InputError, match="number 2, with 90 prompt and 20 output tokens"):
        simulate(w, "svf", kv_tokens=100)
    row = simulate(w, "svf", kv_tokens=100, skip_oversized=True).metrics()
    assert (row["rejected"], row["finished"]) == (1, 1)
    with pytest.raises(InputError, match="Every request"):
        simulate(w, "svf", kv_tokens=3, skip_oversized=True)


@pytest.mark.parametrize("kv_tokens", [0, -1, 1.5, 2_000_000_000, True])
def test_a_budget_outside_its_range_is_refused(kv_tokens: object) -> None:
    with pytest.raises(ParameterError, match=r"whole number of tokens in \[1, 10\^9\]"):
        simulate(Workload([0], [1], [1]), "svf", kv_tokens=kv_tokens)


def test_seconds_become_rounds_and_back() -> None:
    w = Workload(None, [1, 1], [2, 3], arrival_s=[0.0, 0.05])
    result = simulate(w, "fcfs", kv_tokens=100, clock="unit:seconds=0.03")
    assert result.unit == "s"
    assert result.start.tolist() == pytest.approx([0.0, 0.06])  # the first round that begins after the arrival
    assert result.finish.tolist() == pytest.approx([0.06, 0.15])


def test_linear_clock_adds_up() -> None:
    w = Workload(None, [10], [3], arrival_s=[1.0])
    result = simulate(w, "fcfs", kv_tokens=100, clock="linear:base=1,request=0.1,kv_token=0.01,prefill_token=0.001")
    first = 1 + 0.1 + 0.11 + 0.01
    assert result.first_token[0] == pytest.approx(1 + first)
    assert result.finish[0] == pytest.approx(1 + first + (1.1 + 0.12) + (1.1 + 0.13))


def test_arrivals_in_rounds_need_a_unit_clock() -> None:
    with pytest.raises(InputError, match="give arrival_s"):
        simulate(Workload([0, 4], [1, 1], [1, 1]), "fcfs", kv_tokens=9, clock="linear:base=1")


def test_progress_is_reported() -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    w = Workload(np.arange(n), rng.integers(1, 50, n), rng.integers(1, 50, n))
    seen: list[tuple[int, int]] = []
    simulate(w, "vllm", kv_tokens=2000, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (n, n)
