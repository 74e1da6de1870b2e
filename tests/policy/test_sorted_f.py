"""Sorted-F, Sorted-LP, LP-swap and A-min: exact batches, optimal where the papers say so, and what a bound does."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import Small, instances

from kvolume import Workload, simulate
from kvolume.policy import Request
from kvolume.policy.sorted_f import best_batch, feasible, greedy, improved, measure
from kvolume.testing import check_policy

batches = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=8)


def requests(lengths: list[tuple[int, int]]) -> list[Request]:
    return [Request(id, 0, s, o, o) for id, (s, o) in enumerate(lengths)]


@given(batches, st.floats(1, 4))
def test_the_dynamic_program_finds_the_smallest_f(lengths: list[tuple[int, int]], room: float) -> None:
    waiting = requests(lengths)
    m = int(max(s + o for s, o in lengths) * room)
    every = (list(c) for k in range(1, len(waiting) + 1) for c in combinations(waiting, k))
    smallest = min(measure(c) for c in every if feasible(c, m))
    found = best_batch(waiting, m)
    assert feasible(found, m)
    assert measure(found) == smallest
    local = improved(greedy(waiting, m), waiting, m)
    assert feasible(local, m)
    assert smallest <= measure(local) <= measure(greedy(waiting, m))


@settings(max_examples=40)
@given(instances(most=7, longest=6, predictions=False, clocks=False), st.sampled_from(("sorted-lp", "lp-swap")))
def test_the_orders_of_the_relaxation_run(small: Small, policy: str) -> None:
    result = simulate(small.workload, policy, kv_tokens=small.kv_tokens)
    assert result.status == "finished"
    assert result.evictions.sum() == 0


def test_the_orders_of_the_relaxation_pass_the_conformance_suite() -> None:
    for policy in ("sorted-lp", "lp-swap"):
        check_policy(policy, instances=4)


GOLDEN = Workload([0] * 6, [1, 5, 2, 0, 4, 1], [3, 1, 4, 2, 2, 1])


@pytest.mark.parametrize(("policy", "kv_tokens"), [("sorted-f", 12), ("sorted-lp", 12), ("lp-swap", 12)])
def test_the_golden_instance_is_optimal_under_them(policy: str, kv_tokens: int) -> None:
    assert simulate(GOLDEN, policy, kv_tokens=kv_tokens).total_latency == 17


@given(instances(predictions=False, clocks=False))
def test_a_min_with_exact_bounds_and_a_max_are_mc_sf(small: Small) -> None:
    runs = [simulate(small.workload, p, kv_tokens=small.kv_tokens).finish for p in ("mc-sf", "a-min", "a-max")]
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])


def test_a_max_never_evicts_and_a_min_learns_from_every_eviction() -> None:
    rng = np.random.default_rng(1)
    o = rng.integers(1, 30, 60)
    w = Workload([0] * 60, rng.integers(0, 9, 60), o, lower=np.maximum(1, o // 4), upper=4 * o)
    careful, bold = (simulate(w, p, kv_tokens=160) for p in ("a-max", "a-min"))
    assert careful.evictions.sum() == 0 < bold.evictions.sum()
    stays = bold.episodes
    for j in np.flatnonzero(bold.evictions):
        ran = (stays.end - stays.begin)[stays.request == j]
        assert ran[-1] == o[j]  # from zero, to the end


@pytest.mark.parametrize("engine", ["rounds", "leap"])
def test_the_smallest_bound_leaves_first(engine: str) -> None:
    """Bounds 1, 2 and 3 of outputs 6: memory runs out, and the one with bound 1 starts again."""
    w = Workload([0] * 3, [1] * 3, [6] * 3, lower=[1, 2, 3])
    result = simulate(w, "a-min", kv_tokens=13, engine=engine)
    assert result.evictions[0] >= 1
    assert result.finish[2] == min(result.finish)
