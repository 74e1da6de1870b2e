"""Our layer over vLLM's real scheduler, with a simulated GPU: equal to stock, equal to the simulator, conserving."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import kvolume
from kvolume.vllm.harness import Job

POLICIES = (
    "fcfs:admission=greedy", "sjf:admission=greedy", "mc-sf", "svf", "svf:admission=greedy",
    "svf:share=0.1,admission=greedy", "svf:share=0.3", "svf:aging=log,admission=greedy", "svf:aging=linear",
    "one-bit:admission=greedy", "one-bit:theta=30,share=0.1", "svf:backfill=4", "svf:admission=greedy,evict=largest",
    "fcfs:admission=greedy,evict=largest", "peak", "svf:admission=protected,alpha=0.2", "random:admission=greedy",
)  # fmt: skip


def burst(n: int = 120, seed: int = 3, most: int = 600, **more: Any) -> list[Job]:
    rng = random.Random(seed)
    return [Job(rng.randint(8, 200), min(most, max(2, int(rng.lognormvariate(3.8, 1.1)))), **more) for _ in range(n)]


def poisson(n: int, rate: float, seed: int = 1, most: int = 60) -> list[Job]:
    rng = random.Random(seed)
    now, jobs = 0.0, []
    for _ in range(n):
        now += rng.expovariate(rate)
        jobs.append(Job(rng.randint(1, 40), min(most, max(1, int(rng.expovariate(1 / 15)))), int(now)))
    return jobs


def ours(harness: Any, policy: str, *, asynchronous: bool = False, mode: str = "on", **more: Any) -> Any:
    from kvolume.vllm.scheduler import Scheduler

    settings = {"policy": policy, "mode": mode, **more.pop("settings", {})}
    return harness.make(Scheduler, asynchronous=asynchronous, settings=settings, **more)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("caching", [False, True])
def test_fcfs_with_greedy_is_stock_step_for_step(harness: Any, asynchronous: bool, caching: bool):
    for jobs in (burst(prefix=8), poisson(150, 0.6)):
        how = {"kv_blocks": 60, "asynchronous": asynchronous, "caching": caching}
        run = {"depth": 1 + asynchronous, "caching": caching}
        stock = harness.drive(harness.make(**how), jobs, **run)
        scheduler = ours(harness, "fcfs:admission=greedy", **how)
        mine = harness.drive(scheduler, jobs, **run)
        assert mine.schedule == stock.schedule
        assert mine.made == stock.made
        assert mine.preemptions == stock.preemptions
        assert not scheduler._kvolume.guard.faults


def test_observing_changes_nothing_and_counts_what_it_would_change(harness: Any):
    jobs = burst()
    stock = harness.drive(harness.make(kv_blocks=60), jobs)
    scheduler = ours(harness, "svf:admission=greedy", mode="observe", kv_blocks=60)
    assert harness.drive(scheduler, jobs).schedule == stock.schedule
    assert scheduler._kvolume.queue.differed > 50
    assert len(scheduler._kvolume.queue) == 0
    assert not scheduler._kvolume.guard.faults


def test_off_is_vllms_own_queue(harness: Any):
    scheduler = ours(harness, "svf", mode="off")
    assert scheduler._kvolume is None
    assert type(scheduler.waiting).__name__ == "FCFSRequestQueue"


@pytest.mark.parametrize(
    "policy", ["svf", "sjf", "fcfs", "svf:share=0.2", "svf:backfill=2", "vllm", "svf:admission=greedy", "peak",
               "fair-svf", "one-bit:rule=worst-case,T=60", "one-bit:rule=worst-case,T=60,admission=greedy",
               "sjf:admission=greedy,evict=largest"],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(4))
def test_first_admissions_are_those_of_the_simulator(harness: Any, policy: str, seed: int):
    """vLLM with blocks of one token is the papers' machine with prompts of s - 1: the same starts, round by round."""
    jobs = poisson(80, 0.5, seed) if seed % 2 else [Job(j.prompt, j.output) for j in poisson(60, 1, seed)]
    kv_tokens = 160
    output = [j.output for j in jobs]  # in vLLM it is max_tokens, too, and so a bound that the policy knows
    w = kvolume.Workload([j.arrival for j in jobs], [j.prompt - 1 for j in jobs], output, upper=output)
    simulated = kvolume.simulate(w, policy, kv_tokens=kv_tokens)
    how = {"kv_blocks": kv_tokens, "block": 1, "token_budget": 4096}
    scheduler = ours(harness, policy, **how, settings={"preempted_first": False})
    trace = harness.drive(scheduler, jobs, block=1)
    starts = [trace.first[str(i)] for i in range(len(jobs))]
    assert starts == simulated.start.tolist()
    assert not scheduler._kvolume.guard.faults
    assert trace.preemptions == simulated.evictions.sum()
    assert [trace.finish[str(i)] for i in range(len(jobs))] == simulated.finish.tolist()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_every_policy_ends_every_request_with_stocks_texts(harness: Any, policy: str, asynchronous: bool):
    jobs = burst(80) + [Job(j.prompt, j.output, 40 + j.arrival) for j in poisson(60, 0.4)]
    how = {"kv_blocks": 60, "asynchronous": asynchronous}
    stock = harness.drive(harness.make(**how), jobs, depth=1 + asynchronous)
    scheduler = ours(harness, policy, **how)
    mine = harness.drive(scheduler, jobs, depth=1 + asynchronous)
    assert mine.made == stock.made
    _empty(scheduler)
    if "greedy" not in policy and "protected" not in policy and "one-bit" not in policy:
        assert mine.preemptions == 0  # exact predictions, and blocks are reckoned exactly


def _empty(scheduler: Any, faults: bool = False) -> None:
    layer = scheduler._kvolume
    assert scheduler.kv_cache_manager.usage == 0
    assert not scheduler.requests
    assert not layer.book.tickets
    assert len(layer.queue) == 0
    assert bool(layer.guard.faults) == faults


def test_slices_double_and_texts_stay(harness: Any):
    jobs = burst(60)
    stock = harness.drive(harness.make(kv_blocks=60), jobs)
    scheduler = ours(harness, "svf:admission=greedy", kv_blocks=60, settings={"slice_tokens": 16})
    mine = harness.drive(scheduler, jobs)
    assert mine.made == stock.made
    assert scheduler._kvolume.metrics.evictions["slice"] > 20
    _empty(scheduler)


def test_wait_admits_in_batches_and_the_timeout_opens_the_door(harness: Any):
    jobs = [Job(4, 30, 0), *(Job(4, 3, 1 + k) for k in range(3))]
    open_ = harness.drive(ours(harness, "vllm", settings={"wait_for": 3, "wait_timeout_s": 1e-8}), jobs)
    assert [open_.first[str(i)] for i in range(4)] == [0, 3, 3, 3]
    shut = harness.drive(ours(harness, "vllm", settings={"wait_for": 9, "wait_timeout_s": 5e-9}), jobs)
    assert [shut.first[str(i)] for i in range(4)] == [0, 6, 6, 6]


def test_hints_that_lie_do_not_jump_the_queue_for_long(harness: Any):
    """The liar says 1 and makes 100; after some of its requests it is served by what it really takes."""
    jobs = []
    for k in range(120):
        liar = k % 2 == 0
        hint = {"predicted_output_len": 1 if liar else 20, "client": "liar" if liar else "honest"}
        jobs.append(Job(20, 100 if liar else 20, 10 * k, 0, hint))
    scheduler = ours(harness, "svf:admission=greedy", kv_blocks=24, max_num_seqs=2)
    trace = harness.drive(scheduler, jobs)
    late = range(60, 120)
    wait = {who: np.mean([trace.first[str(i)] - jobs[i].arrival for i in late if i % 2 == who]) for who in (0, 1)}
    assert wait[1] < wait[0]


def test_a_fault_in_admission_or_eviction_leaves_vllms_own(harness: Any, plugin_log: Any):
    jobs = burst(40)
    scheduler = ours(harness, "svf:evict=largest", kv_blocks=60)

    def broken(*args: Any) -> Any:
        raise RuntimeError("no answer")

    rules = scheduler._kvolume.rules
    rules.picture = broken
    trace = harness.drive(scheduler, jobs)
    assert len(trace.finish) == len(jobs)
    assert set(scheduler._kvolume.guard.faults) == {"the policy's admission", "the policy's eviction"}
    logged = {id(r): r.getMessage() for r in plugin_log.records if r.exc_info}
    assert sorted(m.split(" failed")[0] for m in logged.values()) == [
        "kvolume: the policy's admission", "kvolume: the policy's eviction",
    ]  # fmt: skip
    _empty(scheduler, faults=True)


def test_priorities_stay_the_major_key_and_shared_prefixes_are_left_out(harness: Any):
    jobs = [Job(10, 40, 0, 0), *(Job(10 + k, 10, 1, k % 3) for k in range(12))]
    trace = harness.drive(_priority(harness), jobs)
    served = [jobs[int(i)].priority for i in trace.admitted[1:]]
    assert served == sorted(served)
    shared = [Job(200, 60, 0, prefix=160), Job(200, 20, 5, prefix=160), Job(120, 20, 5)]
    scheduler = ours(harness, "svf:admission=greedy", caching=True, kv_blocks=100, max_num_seqs=1)
    seen = []
    trace = harness.drive(scheduler, shared, caching=True, each_step=lambda s: seen.append(
        {i: t.view.prompt for i, t in s._kvolume.book.tickets.items()}))  # fmt: skip
    assert seen[20] == {"0": 199, "1": 39, "2": 119}
    assert trace.admitted == ["0", "1", "2"]


def _priority(harness: Any) -> Any:
    from kvolume.vllm.scheduler import Scheduler

    return harness.make(Scheduler, settings={"policy": "svf:admission=greedy"}, queue_policy="priority", max_num_seqs=1)


def test_refusals_name_the_reason(harness: Any):
    from kvolume.errors import ParameterError
    from kvolume.vllm.scheduler import Scheduler

    with pytest.raises(ParameterError, match="evict=largest needs --scheduling-policy fcfs"):
        harness.make(Scheduler, settings={"policy": "svf:evict=largest"}, queue_policy="priority")
    with pytest.raises(ParameterError, match=r"this model has SlidingWindowSpec: use fcfs:admission=greedy"):
        harness.make(Scheduler, settings={"policy": "svf"}, window=64)
    harness.make(Scheduler, settings={"policy": "sjf:admission=greedy"}, window=64)
