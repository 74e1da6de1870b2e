"""Staggered pipelines, GSA and GBA: the exact peak, the golden trap, and who is never later than whom."""

from __future__ import annotations

from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvolume import Workload, simulate
from kvolume.policy.rules import staggered_slots

TRAP = Workload([0] * 200, [96] * 200, [160] * 6 + [1] * 194)  # arXiv 2601.22996, with M = 256


def peak(k: int, s: int, tau: int) -> int:
    """Tokens held by k slots in steady state, counted: job j holds s + u in its u-th round from floor(j tau/k) on."""
    held = np.zeros(4 * tau + 1, np.int64)
    for j in range(4 * k):
        begin = j * tau // k
        for u in range(1, min(tau, held.size - begin) + 1):
            held[begin + u - 1] += s + u
    return int(held.max())


def test_the_peak_of_a_staggered_pipeline_is_the_formula() -> None:
    for k in range(1, 13):
        for tau in range(1, 19):
            for s in range(4):
                assert peak(k, s, tau) == k * s + (k * tau + k + tau - gcd(k, tau)) // 2


@given(st.integers(0, 6), st.integers(1, 14), st.integers(0, 90))
def test_slots_are_the_most_whose_peak_fits(s: int, tau: int, more: int) -> None:
    m = s + tau + more
    k = staggered_slots(s, tau, m)
    assert peak(k, s, tau) <= m < peak(k + 1, s, tau)


@pytest.mark.parametrize("engine", ["rounds", "leap"])
@pytest.mark.parametrize(
    ("policy", "total"), [("gsa:alpha=2,tau0=1", 22_262), ("gba:alpha=2", 13_448), ("gba-d:alpha=2", 13_448)]
)
def test_the_trap_to_the_digit(policy: str, total: int, engine: str) -> None:
    assert simulate(TRAP, policy, kv_tokens=256, engine=engine).total_latency == total


bursts = st.tuples(
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 14)), min_size=1, max_size=14),
    st.booleans(),
    st.floats(1, 4),
    st.sampled_from((2, 1.5, 1.2)),
)


@settings(max_examples=400)
@given(bursts, st.sampled_from((("gba", "gba-d"), ("gsa", "gsa-spec"))))
def test_nobody_is_later_than_in_the_base_schedule(
    burst: tuple[list[tuple[int, int]], bool, float, float], pair: tuple[str, str]
) -> None:
    """All at 0, exact lengths: GBA-D against GBA, GSA-Spec against GSA, request by request."""
    lengths, equal, room, alpha = burst
    s, o = np.array(lengths).T
    s = np.full_like(s, s[0]) if equal else s
    w = Workload([0] * len(s), s, o)
    m = int((s + o).max() * room)
    base, better = (simulate(w, f"{p}:alpha={alpha}", kv_tokens=m).finish for p in pair)
    assert (better <= base).all()


@given(bursts)
def test_gsa_gives_slice_p_of_alpha_to_the_p_rounds(burst: tuple[list[tuple[int, int]], bool, float, float]) -> None:
    """Each stay lasts a slice, from zero, and only the last one may be shorter."""
    lengths, _, room, alpha = burst
    s, o = np.array(lengths).T
    s = np.full_like(s, s[0])
    m = int((s + o).max() * room)
    w = Workload([0] * len(s), s, o)
    stays = simulate(w, f"gsa:alpha={alpha}", kv_tokens=m, engine="rounds").episodes
    for j in range(len(s)):
        ran = (stays.end - stays.begin)[stays.request == j]
        slices = [min(max(1, int(alpha**p)), m - int(s[0])) for p in range(ran.size)]
        assert ran.tolist() == [*slices[:-1], o[j]]
        assert o[j] <= slices[-1]


def test_a_length_predicted_too_short_comes_back_in_the_class_of_its_raised_guess() -> None:
    w = Workload([0, 0], [1, 1], [9, 2], predicted=[1, 2])
    result = simulate(w, "gba:alpha=2", kv_tokens=12, engine="rounds")
    ran = (result.episodes.end - result.episodes.begin)[result.episodes.request == 0]
    assert ran.tolist() == [1, 2, 4, 8, 9]  # the guess doubles from class to class; the last slot has all of M - s
