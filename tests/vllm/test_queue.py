from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvolume.geometry import volume
from kvolume.policy import Policy, State, Volume, parse
from tests.vllm.fakes import fake, pops, queue

SIZES = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=14)


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "svf", "svf:share=0.1", "svf:share=0.5", "svf:share=1", "random"])
@given(sizes=SIZES, data=st.data())
def test_the_order_is_that_of_the_simulators_policy_object(policy: str, sizes: list[tuple[int, int]], data: Any):
    """Pops of the heaps against `order.queue` of the very same object, with arrivals in between."""
    q, clock = queue(f"{policy}{',' if ':' in policy else ':'}admission=greedy")
    state = State(0, 10_000)
    for i, (s, o) in enumerate(sizes):
        clock.now += data.draw(st.integers(0, 2))
        q.add_request(fake(i, s, o))
        state.waiting.append(q.book.tickets[str(i)].view)
        for _ in range(data.draw(st.integers(0, 2))):
            _pop_both(q, state)
    while len(q):
        _pop_both(q, state)


def _pop_both(q: Any, state: State) -> None:
    if not state.waiting:
        assert not q
        return
    start = next(q.policy.order.queue(state))
    state.start(start)
    assert q.pop_request().request_id == str(start.request.id)
    if state.waiting:
        assert (q.state.admitted_volume, q.state.lane_volume) == (state.admitted_volume, state.lane_volume)


@given(sizes=SIZES, share=st.sampled_from([0.05, 0.1, 0.3]), data=st.data())
def test_nothing_starves_the_bound_of_the_share(sizes: list[tuple[int, int]], share: float, data: Any):
    """Between j's arrival and its start at most (Q_j + v_j)/share volume is admitted (ALGORITHMS.md 3)."""
    q, clock = queue(f"svf:share={share},admission=greedy")
    admitted, at_arrival, ahead, size, waiting = 0.0, {}, {}, {}, 0.0
    for i, (s, o) in enumerate([(400, 400), *sizes]):
        clock.now += 1
        r = fake(i, s, o)
        q.add_request(r)
        size[i] = float(volume(s - 1, o))
        at_arrival[i], ahead[i] = admitted, waiting
        waiting += size[i]
        for _ in range(data.draw(st.integers(0, 1))):
            j = int(q.pop_request().request_id)
            assert admitted - at_arrival[j] <= (ahead[j] + size[j]) / share + 1e-6
            admitted += size[j]
            waiting -= size[j]
    while len(q):
        j = int(q.pop_request().request_id)
        assert admitted - at_arrival[j] <= (ahead[j] + size[j]) / share + 1e-6
        admitted += size[j]


def test_peek_and_pop_are_one_whatever_arrives_between():
    q, _ = queue()
    q.add_request(fake(0, 50, 50))
    assert q.peek_request().request_id == "0"
    q.add_request(fake(1, 1, 1))
    assert pops(q) == ["1", "0"]


def test_preempted_requests_go_first_and_are_not_charged_again():
    q, _ = queue("svf:share=0.1,admission=greedy")
    big, small = fake(0, 100, 100), fake(1, 5, 5)
    q.add_request(big)
    assert q.pop_request() is big
    q.popped.clear()
    q.add_request(small)
    charged = q.state.admitted_volume
    big.num_preemptions, big.num_output_tokens = 1, 40
    q.prepend_request(big)
    assert q.book.tickets["0"].view.kept == 40
    assert q.peek_request() is big
    assert q.pop_request() is big
    assert q.state.admitted_volume == charged
    q, _ = queue("svf:admission=greedy", preempted_first=False)
    q.add_request(big)
    q.pop_request()
    q.popped.clear()
    q.add_request(small)
    big.num_preemptions += 1
    q.prepend_request(big)
    assert pops(q) == ["1", "0"]


def test_a_request_that_was_popped_and_not_ready_comes_back_uncharged():
    q, _ = queue("svf:share=0.1,admission=greedy")
    for i in range(3):
        q.add_request(fake(i, 10 + i, 10))
    first = q.pop_request()
    assert q.state.admitted_volume > 0
    q.prepend_requests([first])
    assert (q.state.admitted_volume, len(q)) == (0, 3)
    assert pops(q) == ["0", "1", "2"]


def test_priorities_of_clients_are_the_major_key():
    q, _ = queue(by_priority=True)
    for i, (s, p) in enumerate([(5, 1), (50, 0), (10, 0), (1, 2)]):
        q.add_request(fake(i, s, 5, priority=p))
    assert pops(q) == ["2", "1", "0", "3"]


def test_non_members_can_be_removed_and_removed_ones_are_gone():
    q, _ = queue()
    a, b = fake(0), fake(1)
    q.add_request(a)
    q.remove_requests([b, a, a])
    assert len(q) == 0
    assert not q
    with pytest.raises(IndexError):
        q.peek_request()
    q.remove_request(b)
    assert a not in q


def test_the_queue_can_be_listed_in_policy_order():
    q, _ = queue()
    for i, o in enumerate([9, 3, 6]):
        q.add_request(fake(i, 5, o))
    assert [r.request_id for r in q] == ["1", "2", "0"]
    assert [r.request_id for r in reversed(q)] == ["0", "2", "1"]
    assert q[0].request_id == "1"
    assert q.has_request(q[0])


def test_a_closed_gate_empties_bool_and_not_len():
    q, _ = queue()
    q.add_request(fake(0))
    q.gate = lambda request: False
    q.look_again()
    assert not q
    assert len(q) == 1
    q.gate = None
    q.look_again()
    assert q


def test_backfill_passes_over_misfits_as_the_policy_does():
    for backfill, expected in ((0, None), (1, None), (2, "2")):
        q, _ = queue(f"svf:admission=greedy,backfill={backfill}")
        for i in range(4):
            q.add_request(fake(i, 10 + i, 5))
        q.gate = lambda request: request.prompt >= 11
        q.look_again()
        assert (q.peek_request().request_id if q else None) == expected
        q.gate = None
        q.look_again()
        assert pops(q) == ["0", "1", "2", "3"]


@dataclass(frozen=True)
class Fragile(Volume):
    def key(self, request: Any) -> Any:
        if request.prompt == 12:
            raise RuntimeError("no key")
        return super().key(request)


def test_a_fault_in_the_order_means_arrival_order_until_the_request_is_through(plugin_log: Any):
    q, _ = queue(Policy(Fragile()))
    for i, s in enumerate([50, 13, 20, 10, 30, 5]):
        q.add_request(fake(i, s, 5))
    assert pops(q) == ["0", "1", "5", "3", "2", "4"]
    assert q.book.guard.faults["the policy's order"] == 1
    assert "arrival order" in plugin_log.text


@given(st.integers(0, 10_000))
def test_random_operations_never_lose_or_double_a_request(seed: int):
    rng = random.Random(seed)
    q, clock = queue("svf:share=0.2,admission=greedy")
    inside: dict[str, Any] = {}
    outside: list[Any] = []
    n = 0
    for _ in range(60):
        clock.now += 1
        what = rng.random()
        if what < 0.4:
            r = fake(n, rng.randint(1, 50), rng.randint(1, 50))
            n += 1
            q.add_request(r)
            inside[r.request_id] = r
        elif what < 0.6 and inside:
            r = q.pop_request()
            del inside[r.request_id]
            outside.append(r)
            q.popped.clear()
        elif what < 0.75 and outside:
            r = outside.pop(rng.randrange(len(outside)))
            r.num_preemptions += 1
            q.prepend_request(r)
            inside[r.request_id] = r
        elif what < 0.9 and inside:
            r = inside.pop(rng.choice(sorted(inside)))
            q.remove_requests([r])
            q.book.finish(r, None)
        else:
            q.rekey()
        assert len(q) == len(inside)
        assert {r.request_id for r in q} == set(inside)
    assert sorted(pops(q)) == sorted(inside)


def test_keys_are_those_of_the_engines_volume():
    q, _ = queue()
    q.add_request(fake(0, 100, 10))
    assert q.book.tickets["0"].key == volume(100, 10, "engine")
    assert parse("svf").order.key(q.book.tickets["0"].view) == volume(100, 10, "engine")
