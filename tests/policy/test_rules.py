"""The small rules: admission test, lanes, outgrown predictions, the generator."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvolume import Workload, simulate
from kvolume.geometry import peak, volume
from kvolume.policy import LookAhead, Request, Running, State, rules
from kvolume.policy.admission import within_budget

batches = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 20)), min_size=1, max_size=8)


@given(batches, st.integers(1, 120))
def test_testing_last_rounds_is_testing_every_round(batch: list[tuple[int, int]], kv_tokens: int) -> None:
    every = all(
        sum(held + k for left, held in batch if left > k) <= kv_tokens for k in range(max(left for left, _ in batch))
    )
    assert within_budget(batch, kv_tokens) == every


@given(st.integers(0, 50), st.integers(1, 50))
def test_volume_is_the_sum_of_what_is_held(s: int, o: int) -> None:
    assert volume(s, o) == sum(s + u for u in range(1, o + 1))
    assert volume(s, o, "engine") == sum(s + u - 1 for u in range(1, o + 1))
    assert peak(s, o) == s + o
    assert peak(s, o, "engine") == s + o - 1


@given(st.integers(0, 50), st.integers(1, 50), st.integers(1, 6))
def test_volume_inequalities_of_the_paper(s: int, o: int, c: int) -> None:
    assert peak(s, o) * o + o <= 2 * volume(s, o)
    assert volume(s, c * o) <= c * c * volume(s, o)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_raised_guess_grows_and_doubles_up_to_the_cap(guess: int, most: int) -> None:
    new = rules.raised(guess, most)
    assert new > guess
    assert new == min(2 * guess, most) or new == guess + 1


@given(
    st.lists(st.tuples(st.floats(1, 100), st.booleans()), max_size=60), st.floats(0, 1)
)
def test_the_lane_never_exceeds_its_share(admissions: list[tuple[float, bool]], share: float) -> None:
    lane = admitted = 0.0
    for v, _ in admissions:
        if rules.takes_oldest(v, lane, admitted, share):
            lane += v
        admitted += v
        assert lane <= share * admitted * (1 + 1e-12)


def test_share_one_is_first_come_first_served_and_share_zero_is_the_order() -> None:
    w = Workload([0, 0, 1, 2], [9, 1, 5, 3], [2, 2, 2, 2])
    start = {p: simulate(w, p, kv_tokens=11).start.tolist() for p in ("svf:share=1", "svf:share=0", "fcfs", "svf")}
    assert start["svf:share=1"] == start["fcfs"] != start["svf"] == start["svf:share=0"]


def test_an_outgrown_prediction_delays_others_by_the_raised_guess() -> None:
    """Told 1 of 4: the guess grows 1, 2, 4, and an overflow evicts the latest start, which keeps its tokens."""
    w = Workload([0, 0], [4, 4], [4, 4], predicted=[1, 1])
    result = simulate(w, "fcfs", kv_tokens=12)
    assert result.evictions.tolist() == [0, 1]
    assert result.finish[0] == 4
    assert result.finish[1] < 8


def test_the_generator_is_the_minimal_standard() -> None:
    """Park and Miller's check value: from seed 1, the 10,000th number is 399268537 with multiplier 48271."""
    state = 1
    for _ in range(10_000):
        state = rules.next_random(state)
    assert state == 399268537


@given(
    running=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=5),
    waiting=st.tuples(st.integers(0, 9), st.integers(1, 9)),
    kv_tokens=st.integers(12, 60),
    block=st.integers(1, 4),
)
def test_nobody_is_kept_waiting_past_the_first_round_in_which_it_fits(
    running: list[tuple[int, int]], waiting: tuple[int, int], kv_tokens: int, block: int
) -> None:
    """`wait` against asking in every round, while nobody leaves."""
    s, o = waiting
    request = Request(99, 0, s, o, o)
    rule = LookAhead()

    def state(rounds: int) -> State:
        there = [Running(Request(i, 0, s, o, o), rounds, o) for i, (s, o) in enumerate(running)]
        return State(0, kv_tokens, running=there, block=block)

    wait = rule.wait(request, state(0))
    assert (wait == 0) == rule.admits(request, state(0))
    for k in range(min([wait, *(o for _, o in running)])):
        assert not rule.admits(request, state(k))
