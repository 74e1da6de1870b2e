"""Sessions that are fed in pieces, several engines, and lengths that are learned, on vLLM's real scheduler."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from kvolume.vllm.harness import Job
from tests.vllm.test_features import POLICIES, jobs, tweaked

# --- sessions that are fed in pieces ---------------------------------------------------------------------------


def session(harness: Any, scheduler: Any, asynchronous: bool) -> tuple[dict[str, list[int]], int]:
    """Plain requests, and beside them a session of three pieces, the later ones longer; tokens made, and steps."""
    made: dict[str, list[int]] = {}
    for i, job in enumerate(jobs(20)):
        scheduler.add_request(harness.request(i, Job(job.prompt, job.output)))
    pieces = [Job(20, 3), Job(30, 50), Job(10, 90), None]
    in_flight: list[Any] = []
    steps = 0

    def feed() -> None:
        piece = pieces.pop(0)
        more = harness.request(99, piece or Job(1, 1))
        more.resumable = piece is not None
        scheduler.add_request(more)

    feed()
    while scheduler.requests or in_flight:
        steps += 1
        assert steps < 3000
        held = scheduler.requests.get("99")
        if held is not None and held.status.name == "WAITING_FOR_STREAMING_REQ" and pieces and not in_flight:
            feed()
        if scheduler.has_requests():
            step = scheduler.schedule()
            in_flight.append((step, harness._output(step, scheduler)))
            if asynchronous and len(in_flight) < 2 and step.total_num_scheduled_tokens:
                continue
        if in_flight:
            for group in scheduler.update_from_output(*in_flight.pop(0)).values():
                for one in group.outputs:
                    made.setdefault(one.request_id, []).extend(one.new_token_ids)
    return made, steps


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_streaming_session_is_fed_in_pieces(harness: Any, policy: str, asynchronous: bool):
    from kvolume.vllm.scheduler import Scheduler

    how = {"kv_blocks": 24, "asynchronous": asynchronous, "max_model_len": 256}
    stock = session(harness, harness.make(**how), asynchronous)
    scheduler = harness.make(Scheduler, settings={"policy": policy}, **how)
    mine = session(harness, scheduler, asynchronous)
    assert {i: len(t) for i, t in mine[0].items()} == {i: len(t) for i, t in stock[0].items()}
    assert len(mine[0]["99"]) in (3 + 50 + 90, 3 * 3)  # up to 0.24 the first piece's limit holds for all
    assert scheduler.kv_cache_manager.usage == 0
    assert not scheduler._kvolume.guard.faults
    assert not scheduler._kvolume.book.tickets
    if policy.startswith("fcfs"):
        assert mine == stock


# --- several engines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_each_data_parallel_rank_orders_its_own_queue(harness: Any, policy: str):
    """What a rank's scheduler is given beside requests: it reports who has finished, and may hold prefills back."""
    import vllm.v1.core.sched.scheduler as stock

    from kvolume.vllm.scheduler import Scheduler

    held_back = "throttle_prefills" in inspect.signature(stock.Scheduler.schedule).parameters  # since 0.24

    def run(base: Any) -> list[Any]:
        ranks = [
            harness.make(lambda **kw: base(include_finished_set=True, **kw), kv_blocks=24, settings={"policy": policy})
            for _ in range(2)
        ]
        for i, job in enumerate(jobs(40)):
            ranks[i % 2].add_request(harness.request(i, job))
        told: list[set[str]] = [set(), set()]
        schedules: list[Any] = []
        while any(rank.has_requests() for rank in ranks):
            for k, rank in enumerate(ranks):
                step = rank.schedule(*[len(schedules) % 7 < 3] * held_back)
                schedules.append(tuple(step.num_scheduled_tokens.items()))
                outputs = rank.update_from_output(step, harness._output(step, rank))
                for group in outputs.values():
                    told[k] |= group.finished_requests or set()
                assert len(schedules) < 5000
        assert [len(t) for t in told] == [20, 20]
        assert all(rank.kv_cache_manager.usage == 0 for rank in ranks)
        return schedules

    mine = run(Scheduler)
    if policy.startswith("fcfs"):
        assert mine == run(stock.Scheduler)


def test_slices_with_pipeline_parallelism_are_refused(harness: Any):
    from kvolume.errors import ParameterError
    from kvolume.vllm.scheduler import refuse
    from kvolume.vllm.settings import Settings

    scheduler = harness.make()
    refuse(scheduler, Settings(slice_tokens=8))
    scheduler.vllm_config.parallel_config.pipeline_parallel_size = 2
    refuse(scheduler, Settings())
    with pytest.raises(ParameterError, match=r"slice_tokens needs pipeline_parallel_size 1\. Got 2"):
        refuse(scheduler, Settings(slice_tokens=8))


# --- lengths that are learned ----------------------------------------------------------------------------------


def test_a_burst_without_hints_is_reordered_as_lengths_are_learned(harness: Any, monkeypatch: Any):
    """Two clients, one with short answers: once that is known, its waiting requests pass the other's."""
    from kvolume.vllm.scheduler import Scheduler

    def tweak(request: Any, i: int) -> None:
        request.max_tokens, request.sampling_params.stop_token_ids = 200, [255]

    todo = [Job(20, 60 if k % 2 else 6, 0, 0, {"client": "long" if k % 2 else "short"}) for k in range(300)]
    tweaked(harness, monkeypatch, tweak)
    monkeypatch.setattr(harness, "token", lambda i, position: 255 if position == todo[int(i)].output else 7)
    scheduler = harness.make(Scheduler, kv_blocks=60, max_num_seqs=8, settings={"policy": "svf:admission=greedy"})
    trace = harness.drive(scheduler, todo)
    assert [len(trace.made[str(k)]) for k in range(300)] == [job.output for job in todo]
    clients = [int(i) % 2 for i in trace.admitted]
    assert 20 < sum(clients[:64]) < 44  # at first nobody knows
    assert sum(clients[90:170]) == 0
