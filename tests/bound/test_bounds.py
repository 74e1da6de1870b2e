"""bound <= optimum <= every policy that keeps no tokens; bound <= every policy; a log's certificate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import Small, instances

from kvolume import InputError, ParameterError, UnknownNameError, Workload, lower_bound, optimum, simulate
from kvolume.bound import certify_log
from kvolume.bound.busy_time import centroid_lag
from kvolume.clock import Shares, parse_clock

KEEPS_NOTHING = ("fcfs", "sjf", "svf", "svf:share=0.3", "svf:backfill=2", "peak", "vllm:keep=0", "random")
tiny = instances(most=6, longest=6, predictions=False, clocks=False, spread=12)


@settings(max_examples=60)
@given(tiny)
def test_bounds_below_optimum_below_policies(small: Small) -> None:
    w, m = small.workload, small.kv_tokens
    best = optimum(w, m, time_limit_s=20)
    assert best.proven
    busy, lp = lower_bound(w, m).total_latency, lower_bound(w, m, kind="lp").total_latency
    assert busy <= best.total_latency
    assert lp <= best.total_latency
    if not w.arrival.any():
        prefix = lower_bound(w, m, kind="prefix").total_latency
        assert prefix <= busy * (1 + 1e-9)
    for policy in KEEPS_NOTHING:
        assert simulate(w, policy, kv_tokens=m).total_latency >= best.total_latency


@settings(max_examples=60)
@given(tiny)
def test_the_schedule_of_the_optimum_is_feasible_and_has_its_latency(small: Small) -> None:
    w, m = small.workload, small.kv_tokens
    best = optimum(w, m, time_limit_s=20)
    assert (best.start >= w.arrival).all()
    assert (best.start + w.output_tokens - w.arrival).sum() == best.total_latency
    for t in range(int((best.start + w.output_tokens).max())):
        u = t + 1 - best.start
        on = (u >= 1) & (u <= w.output_tokens)
        assert (w.prompt_tokens + u)[on].sum() <= m


@settings(max_examples=40)
@given(instances(most=4, longest=4, predictions=False, clocks=False, spread=6))
def test_the_optimum_equals_a_search_over_all_schedules(small: Small) -> None:
    w, m = small.workload, small.kv_tokens
    s, o, a = w.prompt_tokens.tolist(), w.output_tokens.tolist(), w.arrival.tolist()
    horizon = max(a) + sum(o)
    best = horizon * len(s) + 1

    def place(i: int, held: list[int], total: int) -> None:
        nonlocal best
        if total + sum(o[i:]) >= best:
            return
        if i == len(s):
            best = total
            return
        for x in range(a[i], horizon - o[i] + 1):
            new = list(held)
            for u in range(1, o[i] + 1):
                new[x + u] += s[i] + u
            if max(new) <= m:
                place(i + 1, new, total + x + o[i] - a[i])

    place(0, [0] * (horizon + 1), 0)
    assert optimum(w, m).total_latency == best


def test_an_unproven_optimum_is_not_called_optimal() -> None:
    rng = np.random.default_rng(1)
    w = Workload([0] * 30, rng.integers(1, 6, 30), rng.integers(1, 13, 30))
    found = optimum(w, 30, time_limit_s=0.2)
    assert not found.proven
    assert "optimal" not in found.status
    assert 0 < found.gap < 1
    assert found.bound < found.total_latency


def test_cp_sat_agrees_with_highs() -> None:
    pytest.importorskip("ortools", reason="OR-Tools (extra 'solvers') is not installed")
    rng = np.random.default_rng(2)
    w = Workload(rng.integers(0, 6, 7), rng.integers(1, 6, 7), rng.integers(1, 8, 7))
    x, y = (optimum(w, 25, solver=s) for s in ("highs", "cp-sat"))
    assert x.proven
    assert y.proven
    assert x.total_latency == y.total_latency


@given(
    st.integers(0, 30), st.integers(1, 25), st.integers(60, 200),
    st.sampled_from(["unit", "linear:base=3e-9", "linear:base=3e-9,request=2e-9,kv_token=1e-9,prefill_token=5e-9",
                     "linear:base=3e-9,prefill_token=1e-9,prefill_pair=1.5e-9"]),
    st.sampled_from(["unit", "engine"]),
)  # fmt: skip
def test_the_closed_form_of_the_centroid_is_the_sum(s: int, o: int, m: int, clock_name: str, holding: str) -> None:
    clock = parse_clock(clock_name)
    off = 1 if holding == "engine" else 0
    kv = [s + u - off for u in range(1, o + 1)]
    pre = [s] + [0] * (o - 1)
    extra = [clock.request + clock.kv_token * k + clock.prefill(p) for k, p in zip(kv, pre, strict=True)]
    work = [x + clock.base * k / m for x, k in zip(extra, kv, strict=True)]
    length = [clock.base + x for x in extra]
    moment = sum(e * (length[u] / 2 + sum(length[u + 1 :])) for u, e in enumerate(work))
    got = centroid_lag(np.array([s]), np.array([o]), m, clock, holding)[0]
    assert got == pytest.approx(moment / sum(work) if sum(work) else sum(length), rel=1e-9, abs=1e-9)
    assert clock.work(s, o, Shares(1 / m), holding) == pytest.approx(sum(work), rel=1e-9, abs=1e-12)


def test_what_a_bound_refuses() -> None:
    w = Workload([0, 3], [5, 90], [5, 20])
    with pytest.raises(InputError, match="Request 2 of 'workload' holds up to 110 KV tokens"):
        lower_bound(w, 100)
    with pytest.raises(ParameterError, match="bursts"):
        lower_bound(w, 200, kind="prefix")
    with pytest.raises(UnknownNameError, match="Did you mean 'lp'"):
        lower_bound(w, 200, kind="lpp")
    with pytest.raises(UnknownNameError, match="Unknown solver"):
        optimum(w, 200, solver="gurobi")
    rng = np.random.default_rng(0)
    big = Workload([0] * 500, rng.integers(1, 50, 500), rng.integers(1, 300, 500))
    with pytest.raises(InputError, match="too many to solve"):
        optimum(big, 400)


def log_of(clock: str, m: int, seed: int) -> tuple[Workload, float]:
    """A log made by simulating one: an engine that takes one token more per request than it needs to."""
    rng = np.random.default_rng(seed)
    n = 60
    w = Workload(None, rng.integers(1, 30, n), rng.integers(1, 20, n), arrival_s=np.sort(rng.uniform(0, 2, n)))
    result = simulate(w, "svf", kv_tokens=m, clock=clock)
    return Workload(None, w.prompt_tokens, w.output_tokens, arrival_s=w.arrival_s, finish_s=result.finish), result


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "clock", ["unit:seconds=0.03", "linear:base=8e-3,request=1e-4,kv_token=1e-5,prefill_token=1e-5"]
)
def test_a_log_is_never_certified_better_than_optimal_under_its_own_clock(clock: str, seed: int) -> None:
    log, _ = log_of(clock, 150, seed)
    certificate = certify_log(log, 150, clock)
    assert certificate.ratio >= 1
    assert certificate.warning == ""
    assert "no iteration of the real engine was shorter" in certificate.assumption


def test_a_clock_too_slow_for_the_log_says_so() -> None:
    log, _ = log_of("unit:seconds=0.03", 150, 0)
    certificate = certify_log(log, 150, "unit:seconds=0.3")
    assert certificate.ratio < 1
    assert "the clock is too slow for this log" in certificate.warning


def test_a_log_needs_finish_times_after_arrivals() -> None:
    w = Workload(None, [1], [1], arrival_s=[1.0])
    with pytest.raises(InputError, match="no finish times"):
        certify_log(w, 10, "unit")
    w = Workload(None, [1], [1], arrival_s=[1.0], finish_s=[1.0])
    with pytest.raises(InputError, match="Request 1 of 'workload' finishes at 1 s, but arrives at 1 s"):
        certify_log(w, 10, "unit")


def test_the_solver_prints_nothing_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    """HiGHS says things from C whatever its options; machine output must stay machine output."""
    rng = np.random.default_rng(0)
    for _ in range(25):
        w = Workload([0] * 7, rng.integers(0, 7, 7), rng.integers(1, 9, 7))
        optimum(w, 20)
    assert capfd.readouterr().out == ""
