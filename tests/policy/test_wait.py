"""WAIT and Nested WAIT: the fluid table, thresholds, pausing, and what happens when memory runs out."""

from __future__ import annotations

from itertools import product
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvolume import ParameterError, Workload, simulate
from kvolume.bound.fluid import nested_memory, overflow_exponent
from kvolume.clock import parse_clock
from kvolume.engine.instance import prepare
from kvolume.policy import parse
from kvolume.policy.fluid import chain, equilibrium, filling, nested_thresholds, thresholds


@pytest.mark.parametrize(("rate", "kv_tokens"), [(50, 34_377), (60, 55_758), (70, 100_327), (80, 250_509)])
def test_the_published_equilibria(rate: float, kv_tokens: int) -> None:
    """d1/d0 = 3.78368e-5 and d0 w = 298.8381, with d0 = 1."""
    found = equilibrium([rate], [298.8381], 1.0, 3.78368e-5)
    assert found.kv_tokens == pytest.approx(kv_tokens, abs=3)
    assert found.per_stage[0] == pytest.approx(rate * found.iteration)


def test_no_equilibrium_at_a_load_of_one() -> None:
    with pytest.raises(ParameterError, match="must be below 1 for an equilibrium"):
        equilibrium([10], [10], 1.0, 0.01)


small = st.floats(0.01, 1.5)


@given(st.lists(st.tuples(small, st.floats(0.0, 0.4)), min_size=1, max_size=3), st.floats(0.2, 2))
def test_thresholds_are_the_smallest_feasible_integers(types: list[tuple[float, float]], d0: float) -> None:
    rates, costs = zip(*types, strict=True)

    def feasible(n: tuple[int, ...]) -> bool:
        tau = d0 + sum(k * c for k, c in zip(n, costs, strict=True))
        return all(rate * tau < k for rate, k in zip(rates, n, strict=True))

    n = thresholds(rates, costs, d0)
    if n is None:
        assert sum(r * c for r, c in types) >= 1 - 1e-6
        return
    assert feasible(n)
    if max(n) <= 12:
        smaller = product(*(range(1, k + 1) for k in n))
        assert [m for m in smaller if feasible(m)] == [n]


@given(st.floats(0.05, 3), st.lists(st.floats(0.05, 0.9), max_size=3), st.floats(0, 0.2))
def test_nested_thresholds_are_the_smallest_feasible_integers(rate: float, onward: list[float], cost: float) -> None:
    costs = [cost] * (len(onward) + 1)

    def feasible(first: int) -> bool:
        n = chain(first, onward)
        return n is not None and rate * (1 + sum(k * c for k, c in zip(n, costs, strict=True))) < first

    n = nested_thresholds(rate, onward, costs, 1.0, 200)
    found = next((first for first in range(1, 201) if feasible(first)), None)
    assert (n and n[0]) == found
    if n:
        assert all(p < b / a < 1 for p, a, b in zip(onward, n[:-1], n[1:], strict=True))


@given(st.integers(2, 60), st.floats(0.01, 0.95), st.floats(0.01, 0.99))
def test_theta_is_the_root(before: int, onward: float, share: float) -> None:
    low, high = int(onward * before) + 1, before - 1
    if high < low:
        return
    threshold = low + int(share * (high - low))
    if not onward * before < threshold - 1e-9:
        return
    theta = overflow_exponent(before, threshold, onward)
    assert theta > 0
    if theta < 30:
        grown = (1 - onward + onward * exp(theta)) * exp(-theta * threshold / before)
        assert grown**before == pytest.approx(1, rel=1e-5)


def test_memory_of_nested_wait_grows_as_the_risk_falls() -> None:
    needs = [nested_memory((40, 24, 13), (0.5, 0.5), (10, 20, 40), 100, 1e5, risk) for risk in (0.1, 0.01, 0.001)]
    assert needs == sorted(needs)
    steady = 40 * 10 * (100 + 5.5) + 24 * 10 * (100 + 15.5) + 13 * 20 * (100 + 30.5)
    assert needs[0] > steady


def test_thresholds_that_cannot_be_had_fill_the_memory() -> None:
    assert filling([3, 1], [10, 10], 400) == (30, 10)


SAME = Workload(None, [10] * 60, [4] * 60, arrival_s=np.arange(60) * 0.01)
CLOCK = "linear:base=0.025,kv_token=1e-6"


def test_wait_takes_exactly_n_newcomers_and_none_before_they_are_there() -> None:
    """One type, 100 a second, iterations of a good 25 ms: n = 3 newcomers, and everybody runs or nobody does."""
    groups = prepare(SAME, parse("wait"), 4000, parse_clock(CLOCK)).policy.groups
    assert groups.n.tolist() == [[3]]
    result = simulate(SAME, "wait", kv_tokens=4000, clock=CLOCK, engine="rounds")
    starts, counts = np.unique(result.start, return_counts=True)
    assert set(counts.tolist()) == {3}
    assert (starts >= result.arrival.reshape(-1, 3)[:, 2] - 1e-9).all()
    begins = np.unique(result.episodes.begin)
    busy = result.episodes.end - result.episodes.begin
    assert busy[result.episodes.begin < begins[-4]].max() == 4


def test_a_type_without_newcomers_is_paused_with_its_cache() -> None:
    """Eight of (1, 3) in 7 rounds, so n = 2: nobody moves in rounds 1 to 4 and 6, for lack of a second newcomer."""
    w = Workload([0, 0, 1, 5, 5, 7, 7, 7], [1] * 8, [3] * 8)
    assert prepare(w, parse("wait"), 60, parse_clock("unit")).policy.groups.n.tolist() == [[2]]
    result = simulate(w, "wait", kv_tokens=60, engine="rounds")
    assert result.finish[:2].tolist() == [8, 8]  # rounds 0, 5 and 7
    held = dict(zip(result.held.at.tolist(), result.held.base.tolist(), strict=True))
    assert [held[t] for t in (0, 1, 5)] == [4, 4, 10]


def test_nested_wait_pauses_at_the_end_of_a_segment() -> None:
    """Lengths 1 and 3: who goes on to the second segment waits there until n = 2 of them are together."""
    w = Workload([0, 1, 2, 3, 4, 5, 6, 7], [2] * 8, [1, 3] * 4)
    result = simulate(w, "nested-wait", kv_tokens=200, engine="rounds")
    ran = (result.episodes.end - result.episodes.begin)[np.argsort(result.episodes.request)]
    assert ran[::2].tolist() == [1] * 4
    assert ran[1::2].max() > 3


def test_estimated_rates_never_look_ahead() -> None:
    """The thresholds of a block of arrivals are those of the block before, whatever comes later."""
    rng = np.random.default_rng(0)
    gaps = np.concatenate((rng.integers(1, 3, 200), rng.integers(5, 9, 200)))
    s, o = np.full(400, 3), np.full(400, 5)
    both, first = (Workload(np.cumsum(gaps)[:k], s[:k], o[:k]) for k in (400, 200))
    name, unit = "wait:rates=estimated,block=50", parse_clock("unit")
    n = [prepare(w, parse(name), 4000, unit).policy.groups.n.tolist() for w in (both, first)]
    assert n[0][:4] == n[1][:4]
    assert n[0][0] == [1]


def test_the_cap_without_the_waiting_never_stalls() -> None:
    result = simulate(SAME, "wait:waits=0", kv_tokens=4000, clock=CLOCK)
    literal = simulate(SAME, "wait", kv_tokens=4000, clock=CLOCK)
    assert result.latency.mean() < literal.latency.mean()


def test_memory_that_runs_out_evicts_the_latest_which_keeps_its_tokens() -> None:
    w = Workload([0] * 6, [3] * 6, [6] * 6)
    result = simulate(w, "wait", kv_tokens=20)
    made = np.bincount(result.episodes.request, result.episodes.end - result.episodes.begin)
    assert result.status == "finished"
    assert result.evictions.sum() > 0
    assert (made >= 6).all()
