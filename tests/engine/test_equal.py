"""The compiled engine equals the specification on every instance: times, evictions, stays, clocks, everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from tests.strategies import Small, instances, policies

from kvolume import Result, Workload, simulate


def assert_equal(x: Result, y: Result) -> None:
    assert x.status == y.status
    for name in ("arrival", "start", "first_token", "finish", "evictions", "queued"):
        np.testing.assert_array_equal(getattr(x, name), getattr(y, name), err_msg=name)
    np.testing.assert_allclose(x.kv_token_ticks, y.kv_token_ticks, rtol=1e-9)
    stays = [sorted(map(tuple, np.array(r.episodes).T.tolist())) for r in (x, y)]
    assert stays[0] == stays[1]


@settings(max_examples=1500)
@given(instances(), policies)
def test_leap_equals_rounds(small: Small, policy: str) -> None:
    runs = [
        simulate(small.workload, policy, kv_tokens=small.kv_tokens, clock=small.clock, engine=engine)
        for engine in ("rounds", "leap")
    ]
    assert_equal(*runs)


@settings(max_examples=400)
@given(instances(most=40, longest=4, spread=15, predictions=False, clocks=False), policies)
def test_leap_equals_rounds_with_many_ties(small: Small, policy: str) -> None:
    runs = [simulate(small.workload, policy, kv_tokens=small.kv_tokens * 3, engine=e) for e in ("rounds", "leap")]
    assert_equal(*runs)


def flat_starts(arrival: np.ndarray, s: np.ndarray, o: np.ndarray, key: np.ndarray, m: int) -> list[int]:
    """Look-ahead in plain Python over a dictionary of completions: a third opinion for large running sets."""
    order = sorted(range(len(s)), key=lambda i: (key[i], i))
    start, t, todo = [-1] * len(s), 0, list(order)
    running: list[tuple[int, int]] = []  # last round, offset
    while todo:
        while True:
            ready = [i for i in todo if arrival[i] <= t]
            if not ready:
                break
            i = ready[0]
            profile = np.array([*running, (t + o[i] - 1, s[i] - t + 1)])
            last, offset = profile[:, 0], profile[:, 1]
            by = np.argsort(-last, kind="stable")
            held = np.cumsum(offset[by]) + np.arange(1, len(by) + 1) * last[by]
            ends = np.append(last[by][1:] != last[by][:-1], True)
            if (held[ends] > m).any():
                break
            start[i] = t
            running.append((t + o[i] - 1, s[i] - t + 1))
            todo.remove(i)
        t += 1
        running = [r for r in running if r[0] >= t]
    return start


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("policy", ["fcfs", "svf"])
def test_blocked_profile_is_exact_with_a_large_running_set(seed: int, policy: str) -> None:
    """Over 192 running requests the profile changes its form; splits and ties are where a port breaks."""
    rng = np.random.default_rng(seed)
    n = 700
    s, o = rng.integers(0, 3, n), rng.integers(1, (9, 40, 150)[seed % 3], n)
    arrival = np.sort(rng.integers(0, (1, 8)[seed % 2], n))
    m = (2500, 6000, 20_000)[seed % 3]
    result = simulate(Workload(arrival, s, o), policy, kv_tokens=m)
    key = arrival if policy == "fcfs" else s * o + o * (o + 1) // 2
    assert result.start.tolist() == flat_starts(arrival, s, o, key, m)
    running = [(result.start <= t) & (result.finish > t) for t in range(int(result.finish.max()))]
    assert max(int(r.sum()) for r in running) > 192


def test_unsorted_arrivals_keep_the_order_given() -> None:
    w = Workload([5, 0, 3], [1, 2, 3], [4, 5, 6])
    back = Workload([0, 3, 5], [2, 3, 1], [5, 6, 4])
    for engine in ("rounds", "leap"):
        x, y = (simulate(v, "fcfs", kv_tokens=12, engine=engine) for v in (w, back))
        assert x.finish[[1, 2, 0]].tolist() == y.finish.tolist()


def test_the_kernels_number_alike_what_the_queue_of_both_uses() -> None:
    from kvolume.engine.kernels import serving_state, state

    for name in ("A", "RANK", "JOINED", "EVICTED", "NOW", "TICK", "NEXT", "WAITING", "BARREN"):
        assert getattr(state, name) == getattr(serving_state, name), name
