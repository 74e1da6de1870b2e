"""Conservation under fire: 100,000 requests through vLLM's real scheduler with the plug-in, over ten set-ups.

Aborts, preemptions, shared prefixes, clients' priorities, lying and broken hints, tiny memory, an engine that runs two
steps ahead. KVOLUME_VLLM_FIRE is the number of requests of each set-up (default 10,000).
"""

from __future__ import annotations

import os
import random
from functools import cache
from typing import Any, NamedTuple

import pytest

from kvolume.vllm.harness import Job, Trace, token

REQUESTS = int(os.environ.get("KVOLUME_VLLM_FIRE", "10000"))
MEMORY = {"kv_blocks": 24, "max_model_len": 384, "caching": True}


class SetUp(NamedTuple):
    """A policy, kvolume's other settings, and how the engine runs."""

    policy: str
    settings: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    depth: int = 2  # steps that are scheduled before the first of them is known
    queue_policy: str = "fcfs"  # --scheduling-policy


SETUPS = (
    SetUp("fair-svf"),
    SetUp("fair-svf", {"preempted_first": False, "trust_hints": False}, depth=1, queue_policy="priority"),
    SetUp("svf"),
    SetUp("svf:share=0.2", {"keys": 3}, queue_policy="priority"),
    SetUp("svf:share=0.1,evict=largest,admission=greedy", {"slice_tokens": 8}),
    SetUp("svf:backfill=3", {"wait_for": 5, "wait_timeout_s": 2e-8}, depth=1),
    SetUp("one-bit:admission=greedy,share=0.1", {"slice_tokens": 4, "slice_ratio": 1.5}),
    SetUp("fcfs:admission=greedy,evict=largest"),
    SetUp("sjf:admission=greedy", {"preempted_first": False}),
    SetUp("svf:aging=log,admission=greedy", {"mode": "observe"}, queue_policy="priority"),
)


@cache
def jobs() -> tuple[Job, ...]:
    """The same requests for all set-ups. A step takes one tick."""
    rng = random.Random(5)
    now, made = 0.0, []
    for k in range(REQUESTS):
        now += rng.expovariate(0.5)
        output = min(120, max(1, int(rng.expovariate(1 / 12))))
        hint = rng.choice([None, None, {}, {"predicted_output_len": 1}, {"predicted_output_len": "x"},
                           {"output_class": "short"}, {"predicted_output_len": 10**9, "client": k % 7}])  # fmt: skip
        prefix = rng.choice([0, 16, 32])
        abort = rng.randint(0, 60) if rng.random() < 0.1 else None
        made.append(Job(prefix + rng.randint(1, 60), output, int(now), rng.randint(-2, 2), hint, prefix, abort))
    return tuple(made)


def run(harness: Any, setup: SetUp, scheduler_class: Any = None) -> tuple[Any, Trace]:
    """The requests through vLLM's scheduler, by default its own class."""
    given = {"policy": setup.policy, **setup.settings} if scheduler_class else {}
    scheduler = harness.make(
        scheduler_class, **MEMORY, asynchronous=setup.depth > 1, queue_policy=setup.queue_policy, settings=given
    )
    return scheduler, harness.drive(scheduler, jobs(), depth=setup.depth, caching=True, record=False)


def assert_each_ended_once_with_its_text(trace: Trace) -> None:
    """Finished with all of its tokens or aborted with the first of them, never both (`drive` raises at a 2nd end)."""
    assert set(trace.finish) | trace.aborted == {str(i) for i in range(REQUESTS)}
    assert not set(trace.finish) & trace.aborted
    for i, job in enumerate(jobs()):
        text = [token(str(i), position) for position in range(1, job.output + 1)]
        made = trace.made.get(str(i), [])
        assert made == (text if str(i) in trace.finish else text[: len(made)]), i


@pytest.mark.parametrize("setup", SETUPS, ids=lambda s: f"{s.policy}-{s.queue_policy}-{s.depth}")
def test_every_request_ends_once_with_its_text_and_gives_everything_back(harness: Any, setup: SetUp):
    from kvolume.vllm.scheduler import Scheduler

    scheduler, trace = run(harness, setup, Scheduler)
    assert_each_ended_once_with_its_text(trace)
    layer = scheduler._kvolume
    assert scheduler.kv_cache_manager.usage == 0
    assert scheduler.get_request_counts() == (0, 0)
    assert not scheduler.requests
    assert not layer.book.tickets
    assert len(layer.queue) == 0
    assert len(layer.lengths.clients) <= layer.given.keys
    assert set(layer.guard.faults) == {"hint"}
    assert trace.preemptions > REQUESTS / 100
    assert layer.metrics.counts["admitted"] == trace.admissions
    assert sum(layer.metrics.evictions.values()) == trace.preemptions


@pytest.mark.parametrize("queue_policy", ["fcfs", "priority"])
@pytest.mark.parametrize("depth", [1, 2])
def test_these_are_the_texts_of_vllms_own_scheduling(harness: Any, depth: int, queue_policy: str):
    _, trace = run(harness, SetUp("", depth=depth, queue_policy=queue_policy))
    assert_each_ended_once_with_its_text(trace)
