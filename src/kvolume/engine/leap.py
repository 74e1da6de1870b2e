"""The fast engine: recognises the three-answer form of a policy and hands it to a compiled kernel."""

from __future__ import annotations

import numpy as np

from kvolume.engine.instance import Instance
from kvolume.engine.result import Episodes, Run, Segments
from kvolume.engine.watch import Progress, announced, watched
from kvolume.geometry import volume
from kvolume.policy import (
    All, ArrivalShare, AtRandom, Greedy, LargestVolume, Latest, LookAhead, Peak, Planner, Policy, Protected,
)  # fmt: skip
from kvolume.policy.order import Order
from kvolume.policy.rules import first_random


def can_run(policy: Planner) -> bool:
    """Can this engine run the policy? Only built-in answers have a compiled twin; orders may be anybody's."""
    return (
        isinstance(policy, Policy)
        and type(policy).plan is Policy.plan
        and type(policy.admission) in (LookAhead, Greedy, Peak, Protected)
        and type(policy.eviction) in (Latest, LargestVolume, All, AtRandom)
        and (type(policy.order) is ArrivalShare or type(policy.order).queue is Order.queue)
    )


def run(instance: Instance, progress: Progress | None = None) -> Run:
    """Simulate; equal to `rounds.run` on every instance."""
    policy = instance.policy
    assert isinstance(policy, Policy)
    simple = isinstance(policy.admission, LookAhead) and policy.backfill == 0 and instance.clock.unit
    with announced("Compiling the simulation kernels (once; they are cached)"):
        return (_ahead if simple and instance.exact else _general)(instance, policy, progress)


def _ahead(i: Instance, policy: Policy, progress: Progress | None) -> Run:
    from kvolume.engine.kernels.ahead import ahead
    from kvolume.engine.kernels.heap import sortable
    from kvolume.engine.kernels.profile import room_for

    share = float(policy.order.share)
    memory = room_for(min(len(i), i.kv_tokens))
    charges = i.charges if share else np.empty(0)
    start = watched(
        lambda done: ahead(i.arrival, i.prompt, i.output, sortable(i.keys), charges, i.kv_tokens, share, *memory, done),
        len(i), progress,
    )  # fmt: skip
    finish = start + i.output
    kv_token_ticks = float(volume(i.prompt, i.output).sum())
    return Run(start, start + 1, finish, np.zeros(len(i), np.int64), start > i.arrival, None, None, kv_token_ticks, True)


def _general(i: Instance, policy: Policy, progress: Progress | None) -> Run:
    from kvolume.engine.kernels import general as g
    from kvolume.engine.kernels.bitset import empty_set

    by = np.argsort(i.keys, kind="stable")
    rank = np.empty_like(by)
    rank[by] = np.arange(by.size)
    admission = policy.admission
    limit = admission.limit(i.kv_tokens) if isinstance(admission, Protected) else i.kv_tokens
    how = {LookAhead: g.LOOK_AHEAD, Greedy: g.GREEDY, Protected: g.GREEDY, Peak: g.PEAK}[type(admission)]
    eviction = policy.eviction
    who = {Latest: g.LATEST, LargestVolume: g.LARGEST, All: g.ALL, AtRandom: g.RANDOM}[type(eviction)]
    beta = eviction.beta if isinstance(eviction, AtRandom) else 0.0
    clock = i.clock
    out = watched(
        lambda done: g.general(
            i.arrival, i.prompt, i.output, rank, by, i.guess, i.most, i.charges,
            i.kv_tokens, how, limit, who, eviction.keep, beta, eviction.patience,
            policy.backfill, float(policy.order.share), first_random(policy.seed),
            clock.unit, clock.base, clock.request, clock.kv_token, clock.prefill_token,
            *empty_set(len(i)), *empty_set(len(i)), done,
        ),
        len(i), progress,
    )  # fmt: skip
    start, first, finish, evictions, queued, *stays, seg_round, seg_tick, kv_token_ticks, finished = out
    segments = None if clock.unit else Segments(seg_round, seg_tick)
    return Run(start, first, finish, evictions, queued, Episodes(*stays), segments, kv_token_ticks, bool(finished))
