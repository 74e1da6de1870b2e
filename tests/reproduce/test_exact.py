"""The exact optimum of a handful of requests, and the local search beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from tests.strategies import Small, instances

from kvolume import InputError, optimum, simulate
from kvolume.reproduce.best_known import by_local_search
from kvolume.reproduce.exact import is_feasible, tiny_optimum

tiny = instances(most=6, longest=6, predictions=False, clocks=False, spread=12)


def columns(small: Small) -> tuple[np.ndarray, ...]:
    w = small.workload
    return w.arrival, w.prompt_tokens, w.output_tokens


@settings(max_examples=80)
@given(tiny)
def test_branch_and_bound_equals_the_integer_program(small: Small) -> None:
    found = tiny_optimum(*columns(small), small.kv_tokens)
    assert found is not None
    assert found[0] == optimum(small.workload, small.kv_tokens).total_latency


@given(instances(most=7, longest=8, predictions=False, clocks=False, spread=12))
def test_its_schedule_is_feasible_and_has_its_latency(small: Small) -> None:
    a, s, o = columns(small)
    total, start = tiny_optimum(a, s, o, small.kv_tokens)
    assert is_feasible(a, s, o, start, small.kv_tokens)
    assert (start + o - a).sum() == total


@settings(max_examples=60)
@given(tiny)
def test_local_search_is_feasible_and_between_the_optimum_and_the_policies(small: Small) -> None:
    w, m = small.workload, small.kv_tokens
    known = by_local_search(w, m, steps=200)
    assert is_feasible(*columns(small), known.start, m)
    assert (known.start + w.output_tokens - w.arrival).sum() == known.total_latency
    assert tiny_optimum(*columns(small), m)[0] <= known.total_latency <= simulate(w, "svf", kv_tokens=m).total_latency


def test_a_schedule_that_overruns_or_starts_early_is_not_feasible() -> None:
    a, s, o = np.array([0, 2]), np.array([3, 3]), np.array([2, 2])
    assert is_feasible(a, s, o, np.array([0, 2]), 5)
    assert not is_feasible(a, s, o, np.array([0, 1]), 9)
    assert not is_feasible(a, s, o, np.array([1, 2]), 8)


def test_too_few_nodes_or_too_many_requests_are_said() -> None:
    a, s, o = np.zeros(8, np.int64), np.arange(8), np.arange(1, 9)
    assert tiny_optimum(a, s, o, 16, most_nodes=3) is None
    with pytest.raises(InputError, match="Got 17 requests"):
        tiny_optimum(np.zeros(17, np.int64), np.zeros(17, np.int64), np.ones(17, np.int64), 9)
