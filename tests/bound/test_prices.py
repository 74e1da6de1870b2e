"""The price bound: right for any prices, below the optimum, near the linear relaxation, and only for whom it holds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import Small, instances

from kvolume import ParameterError, Workload, lower_bound, optimum, simulate
from kvolume.bound import prices, tightest, uninterrupted
from kvolume.bound.prices import dual_value, price_bound
from kvolume.study import CompareSpec, compare

KEEPS_NOTHING = ("fcfs", "sjf", "svf", "svf:share=0.3", "svf:backfill=2", "peak", "vllm:keep=0", "random")
tiny = instances(most=6, longest=6, predictions=False, clocks=False, spread=12)
SORTED = ("arrival", "prompt_tokens", "output_tokens")


def columns(w: Workload) -> tuple[np.ndarray, ...]:
    order = np.argsort(w.arrival, kind="stable")
    return tuple(getattr(w, name)[order] for name in SORTED)


def dual_by_definition(price: np.ndarray, w: Workload, kv_tokens: int) -> Fraction:
    """The least costs, start by start and token by token, less the price of all the memory."""
    lam = [Fraction(p) for p in price.tolist()]
    total = -kv_tokens * sum(lam)
    for a, s, o in zip(*columns(w), strict=True):
        starts = range(int(a), max(int(a), len(lam)) + 1)
        total += min(
            x + int(o) - int(a) + sum(int(s + u) * lam[x + u - 1] for u in range(1, o + 1) if x + u - 1 < len(lam))
            for x in starts
        )
    return total


@settings(max_examples=150)
@given(tiny, st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([0.0, 0.05, 0.3, 5.0]))
def test_any_prices_give_a_bound_and_it_is_computed_exactly(small: Small, seed: int, rounds: int, most: float) -> None:
    w, m = small.workload, small.kv_tokens
    rng = np.random.default_rng(seed)
    price = rng.integers(0, 2**20, rounds + int(w.arrival.max())) / 2**20 * most
    price[rng.random(price.size) < 0.3] = 0
    got = dual_value(price, *columns(w), m, w.arrival[np.argsort(w.arrival, kind="stable")])
    exact = dual_by_definition(price, w, m)
    assert abs(got - exact) < 1 + 1e-6 * float(m * price.sum() + 1)  # a whole round, and prices of 40 bits
    assert got <= optimum(w, m, time_limit_s=20).total_latency


@settings(max_examples=100)
@given(tiny)
def test_the_price_bound_is_below_the_optimum_and_above_the_sum_of_outputs(small: Small) -> None:
    w, m = small.workload, small.kv_tokens
    best = optimum(w, m, time_limit_s=20)
    assert best.proven
    assert w.output_tokens.sum() <= price_bound(*columns(w), m) <= best.total_latency
    assert lower_bound(w, m, kind="price").total_latency <= tightest(w, m).total_latency <= best.total_latency


@settings(max_examples=300)
@given(instances(most=40, longest=30, predictions=False, clocks=False, spread=200), st.sampled_from(KEEPS_NOTHING))
def test_no_policy_that_keeps_nothing_beats_the_price_bound(small: Small, policy: str) -> None:
    w, m = small.workload, small.kv_tokens
    assert lower_bound(w, m, kind="price").total_latency <= simulate(w, policy, kv_tokens=m).total_latency


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.02, 1.0]))
def test_leaps_miss_no_start(seed: int, roughness: float) -> None:
    """Over thousands of rounds, with prices that fall smoothly or jump, the search that leaps equals the full one."""
    rng = np.random.default_rng(seed)
    n, rounds, m = 12, 9000, 5000
    s, o, a = rng.integers(0, 2000, n), rng.integers(1, 900, n), np.sort(rng.integers(0, 2000, n))
    price = np.maximum(0, 1 - np.arange(rounds) / 8000) * rng.uniform(0.001, 0.1)
    price = np.floor(price * (1 + roughness * rng.random(rounds)) * 2**24) / 2**24
    paid, moment = np.zeros(rounds + 1001), np.zeros(rounds + 1001)
    paid[1:], moment[1:] = (np.cumsum(np.pad(x, (0, 1000))) for x in (price, price * np.arange(rounds)))
    least = 0.0
    for ai, si, oi in zip(a, s, o, strict=True):
        x = np.arange(ai, rounds + 1)
        cost = x + oi - ai + (si + 1 - x) * (paid[x + oi] - paid[x]) + moment[x + oi] - moment[x]
        least += cost.min()
    assert dual_value(price, a, s, o, m, a) == pytest.approx(least - m * price.sum(), abs=1.01)


def test_a_long_log_is_cut_into_pieces_whose_bounds_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    a, s, o = np.sort(rng.integers(0, 3000, 60)), rng.integers(1, 30, 60), rng.integers(1, 60, 60)
    whole = price_bound(a, s, o, 120)
    monkeypatch.setattr(prices, "MOST_ROUNDS", 300)
    assert o.sum() <= price_bound(a, s, o, 120) <= whole * 1.001
    assert price_bound(a, s, o, 120) <= simulate(Workload(a, s, o), "svf", kv_tokens=120).total_latency


@pytest.mark.parametrize("load", [1.0, 1.2])
def test_near_load_1_it_leaves_less_than_two_thirds_of_the_gap(load: float) -> None:
    w = Workload.synthetic("servegen_m_large", 3000, seed=0).poisson(seed=1).at_load(load, 131_072)
    svf = simulate(w, "svf", kv_tokens=131_072).total_latency
    loose, tight = lower_bound(w, 131_072), tightest(w, 131_072)
    assert svf / tight.total_latency - 1 < 2 / 3 * (svf / loose.total_latency - 1)


@settings(max_examples=30)
@given(tiny)
def test_it_comes_near_the_linear_relaxation(small: Small) -> None:
    w, m = small.workload, small.kv_tokens
    lp = lower_bound(w, m, kind="lp").total_latency
    assert lower_bound(w, m, kind="price").total_latency <= np.ceil(lp + 1e-5)


def test_kept_tokens_can_beat_it_and_such_a_run_is_recognised() -> None:
    w = Workload([0] * 4, prompt_tokens=[0, 2, 1, 1], output_tokens=[3, 3, 3, 5])
    keeps, keeps_not = (simulate(w, name, kv_tokens=9) for name in ("vllm", "svf"))
    assert keeps.total_latency < lower_bound(w, 9, kind="price").total_latency <= keeps_not.total_latency
    assert not uninterrupted(keeps)
    assert uninterrupted(keeps_not)


def test_seconds_are_recognised_as_rounds() -> None:
    w = Workload(None, [5, 9, 3], [40, 30, 20], arrival_s=[0.0, 0.013, 0.31])
    assert uninterrupted(simulate(w, "svf", kv_tokens=60))
    assert not uninterrupted(simulate(w, "svf", kv_tokens=60, clock="linear"))


def test_a_comparison_judges_each_policy_by_the_best_bound_that_holds_for_it() -> None:
    w = Workload([0, 0], prompt_tokens=[1, 1], output_tokens=[4, 5])
    made = compare(w, ("svf", "vllm"), kv_tokens=7, bound="tight")
    svf, vllm = made.rows
    assert made.tight is not None
    assert svf["ratio_to_bound"] == svf["mean_latency"] / made.tight.mean_latency
    assert vllm["ratio_to_bound"] == vllm["mean_latency"] / made.bound.mean_latency
    assert made.to_dict()["bound"]["tight"]["kind"] == made.tight.kind
    assert compare(w, ("svf",), kv_tokens=7).tight is None


@pytest.mark.parametrize("more", [{"clock": "linear"}, {"engine": "serving"}])
def test_the_tight_bound_is_refused_where_it_does_not_hold(more: dict[str, str]) -> None:
    with pytest.raises(ParameterError, match="--bound tight holds in rounds of equal length only"):
        CompareSpec(source="log.csv", policies=("svf",), bound="tight", **more)
    with pytest.raises(ParameterError, match="price bound is stated in unit rounds"):
        lower_bound(Workload([0], [1], [1]), 10, clock="linear", kind="price")
