"""Reservations: the compiled twin is the specification, heads are never delayed, and nobody starves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import Small, instances

from kvolume import ParameterError, Workload, simulate
from kvolume.policy import ArrivalShare, Request, Running, State, Volume
from kvolume.policy.easy import Reserving, rounds_until_fits
from kvolume.testing import check_policy

exact = instances(most=14, longest=12, predictions=False, clocks=False)
shares = st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0])


@settings(max_examples=400)
@given(exact, shares, st.sampled_from([0, 1, 2, 8]))
def test_the_kernel_equals_the_specification(small: Small, share: float, depth: int) -> None:
    policy = f"easy-svf:share={share},depth={depth}"
    fast, slow = (simulate(small.workload, policy, kv_tokens=small.kv_tokens, engine=e) for e in ("leap", "rounds"))
    assert fast.start.tolist() == slow.start.tolist()
    assert fast.finish.tolist() == slow.finish.tolist()


@settings(max_examples=100)
@given(exact, shares)
def test_without_depth_it_is_svf_with_a_share(small: Small, share: float) -> None:
    easy, plain = (simulate(small.workload, f"{name}:share={share}{more}", kv_tokens=small.kv_tokens)
                   for name, more in (("easy-svf", ",depth=0"), ("svf", "")))  # fmt: skip
    assert easy.finish.tolist() == plain.finish.tolist()


class Watched(Reserving):
    """Notes, round by round, who the head is and when it is to start at the latest."""

    def plan(self, state: State):
        while len(notes) <= state.now:
            notes.append(None)
        plan = super().plan(state)
        after = state.copy()
        for start in plan.starts:
            after.start(start)
        if after.waiting:
            head = next(iter(self.order.queue(after))).request
            batch = [(r.left, r.holds) for r in after.running]
            notes[state.now] = (head.id, state.now + rounds_until_fits(head, batch, after))
        return plan


notes: list[tuple[int, int] | None] = []


@settings(max_examples=150)
@given(exact)
def test_fillers_never_delay_the_oldest(small: Small) -> None:
    """As long as the oldest waits its reserved round never moves back (with a share of one it is always the head)."""
    notes.clear()
    simulate(small.workload, Watched(ArrivalShare(Volume(), 1.0)), kv_tokens=small.kv_tokens, engine="rounds")
    for before, after in pairwise(notes):
        if before and after and before[0] == after[0]:
            assert after[1] <= before[1]


@settings(max_examples=300)
@given(exact, st.sampled_from([0.05, 0.1, 0.3, 0.7, 1.0]), st.sampled_from([1, 8]))
def test_the_volume_that_overtakes_is_bounded(small: Small, share: float, depth: int) -> None:
    w, m = small.workload, small.kv_tokens
    start = simulate(w, f"easy-svf:share={share},depth={depth}", kv_tokens=m).start
    a, v, longest = w.arrival, w.volumes(), int(w.output_tokens.max())
    rank = np.lexsort((np.arange(len(w)), a))
    for place, j in enumerate(rank):
        older = [i for i in rank[:place] if start[i] >= a[j]]
        between = sum(v[i] for i in range(len(w)) if i != j and a[j] <= start[i] < start[j])
        bound = (sum(v[i] for i in older) + v[j]) / share + (len(older) + 3) * m * longest
        assert between <= bound


@settings(max_examples=200)
@given(exact)
def test_with_a_share_of_one_each_starts_within_the_longest_output_of_its_turn(small: Small) -> None:
    w = small.workload
    start = simulate(w, "easy-svf:share=1", kv_tokens=small.kv_tokens).start
    rank = np.lexsort((np.arange(len(w)), w.arrival))
    turn = 0
    for j in rank:
        turn = max(turn, int(w.arrival[j]))
        assert start[j] <= turn + w.output_tokens.max()
        turn = max(turn, int(start[j]))


def test_a_small_request_fills_the_room_before_a_large_one_and_a_long_one_may_not() -> None:
    w = Workload([0, 0, 0, 0], prompt_tokens=[2, 9, 1, 1], output_tokens=[4, 1, 3, 6])
    starts = simulate(w, "easy-svf:share=1", kv_tokens=11).start
    assert starts.tolist() == [0, 4, 0, 5]  # the third ends before the second may start; the fourth would delay it
    state = State(0, 10, [], [Running(Request(0, 0, 2, 4, 4), 0, 4)])
    assert rounds_until_fits(Request(1, 0, 8, 1, 1), [(4, 3)], state) == 4


def test_it_keeps_the_rules_of_policies() -> None:
    check_policy("easy-svf")
    check_policy("easy-svf:share=0,depth=2")


def test_engines_that_know_three_answers_only_refuse_it() -> None:
    w = Workload([0], [1], [1])
    with pytest.raises(ParameterError, match="plans by itself"):
        simulate(w, "easy-svf", kv_tokens=64, engine="serving")
    with pytest.raises(ParameterError, match="engine 'leap' cannot run"):
        simulate(Workload([0], [1], [1], predicted=[2]), "easy-svf", kv_tokens=64, engine="leap")
