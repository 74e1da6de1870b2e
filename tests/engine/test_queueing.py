"""One request at a time, prefill at no cost: the engines are the single-server queues of queueing theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvolume import Workload, simulate

ENGINES = ("leap", "serving")
MOST = 64


def waits(engine: str, policy: str, arrival: Any, output: Any) -> npt.NDArray[np.int64]:
    """Steps from arrival to start; in rounds, prompts of half the cache keep any two requests apart."""
    if engine == "leap":
        result = simulate(Workload(arrival, [MOST] * len(output), output), policy, kv_tokens=2 * MOST, engine="leap")
    else:
        w = Workload(arrival, [1] * len(output), output)
        result = simulate(w, policy, kv_tokens=4096, engine="serving", serving="max_num_seqs=1")
    return np.asarray(result.start - result.arrival)


requests = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 12)), min_size=1, max_size=25)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=60, deadline=None)
@given(pairs=requests)
def test_in_order_of_arrival_waits_follow_lindley(engine: str, pairs: list[tuple[int, int]]) -> None:
    """W' = max(0, W + S - T) (Lindley 1952), on every path."""
    arrival, output = np.cumsum([gap for gap, _ in pairs]), [o for _, o in pairs]
    expected = [0]
    for gap, service in zip(np.diff(arrival), output[:-1], strict=True):
        expected.append(max(0, expected[-1] + service - int(gap)))
    assert waits(engine, "fcfs", arrival, output).tolist() == expected


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=60, deadline=None)
@given(pairs=requests)
def test_no_order_changes_the_wait_weighted_by_service(engine: str, pairs: list[tuple[int, int]]) -> None:
    """Kleinrock's conservation law (1965), exact on every path: work is what waits, whoever it belongs to."""
    arrival, output = np.cumsum([gap for gap, _ in pairs]), np.array([o for _, o in pairs])
    sums = {int((output * waits(engine, p, arrival, output)).sum()) for p in ("fcfs", "sjf", "longest-first", "random")}
    assert len(sums) == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("policy", ["fcfs", "sjf"])
def test_mean_waits_are_those_of_geo_g_1(engine: str, policy: str) -> None:
    """p E[S(S-1)] / 2, over (1 - rho) in order of arrival, over (1 - s_{k-1})(1 - s_k) by size (Cobham 1954)."""
    rng = np.random.default_rng(2)
    sizes, share, rate, n = np.array([2, 10, 30]), np.array([0.6, 0.3, 0.1]), 0.1, 200_000
    rest = rate * (share * sizes * (sizes - 1)).sum() / 2
    upto = np.cumsum(rate * share * sizes)
    by_size = (share * rest / ((1 - upto) * (1 - upto + rate * share * sizes))).sum()
    expected = rest / (1 - upto[-1]) if policy == "fcfs" else by_size
    got = waits(engine, policy, np.cumsum(rng.geometric(rate, n)), rng.choice(sizes, n, p=share))
    batches = got.reshape(40, -1).mean(axis=1)
    assert got.mean() == pytest.approx(expected, abs=2.7 * batches.std(ddof=1) / np.sqrt(40))  # t of 39 at 99 %
    assert got.mean() == pytest.approx(expected, rel=0.03)
