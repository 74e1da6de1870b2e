"""The fast engine: recognises the three-answer form of a policy, or a planner of ours, and hands it to its kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kvolume.clock import UNIT, Clock
from kvolume.engine.instance import Instance, prepare
from kvolume.engine.leap_planners import kernel_of
from kvolume.engine.result import NEVER, Episodes, Run, Segments
from kvolume.engine.watch import Progress, announced, timed, watched
from kvolume.geometry import volume
from kvolume.policy import (
    All,
    Arrival,
    ArrivalShare,
    AtRandom,
    Greedy,
    LargestVolume,
    Latest,
    LookAhead,
    Peak,
    Planner,
    Policy,
    Protected,
    Reserving,
)  # fmt: skip
from kvolume.policy.order import Order
from kvolume.policy.rules import first_random
from kvolume.workload import Workload

if TYPE_CHECKING:
    from kvolume.engine.kernels import state as k

Kernel = Callable[[Instance, Any, Progress | None], Run]


def can_run(policy: Planner, instance: Instance | None = None) -> bool:
    """Can this engine run the policy? Only built-in answers have a compiled twin; orders may be anybody's.

    Reservations have one for exact lengths in unit rounds, so that hangs on the `instance`.
    """
    if type(policy) is Reserving:
        exact = instance is not None and instance.exact and instance.clock.unit
        return exact and type(policy.order) is ArrivalShare and type(policy.admission) is LookAhead
    return kernel_of(policy) is not None or (
        isinstance(policy, Policy)
        and type(policy).plan is Policy.plan
        and type(policy.admission) in (LookAhead, Greedy, Peak, Protected)
        and type(policy.eviction) in (Latest, LargestVolume, All, AtRandom)
        and (type(policy.order) is ArrivalShare or type(policy.order).queue is Order.queue)
    )


def run(instance: Instance, progress: Progress | None = None) -> tuple[Run, float]:
    """Simulate, and how many seconds that took; equal to `rounds.run` on every instance."""
    policy = instance.policy
    own = kernel_of(policy)
    if own is not None:
        _warm_up(own, policy)
        return timed(own, instance, policy, progress)
    assert isinstance(policy, Policy)
    kernel = _kernel(instance, policy)
    _warm_up(kernel, Reserving(ArrivalShare(Arrival(), 0.5)) if kernel is _easy else Policy(Arrival()))
    return timed(kernel, instance, policy, progress)


def _kernel(i: Instance, policy: Policy) -> Kernel:
    """The quickest kernel that can run it; `_general` can run everything but reservations."""
    if isinstance(policy, Reserving):
        return _easy
    if policy.backfill == 0 and i.clock.unit:
        if isinstance(policy.admission, LookAhead) and i.exact:
            return _ahead
        if isinstance(policy.admission, Greedy | Protected) and isinstance(policy.eviction, Latest):
            return _greedy
    return _general


_warm: set[Kernel] = set()


def _warm_up(kernel: Kernel, policy: Planner) -> None:
    """Compile a kernel, or load it from its cache, on the smallest instance, so that no run is timed with it."""
    if kernel not in _warm:
        instance = prepare(Workload([0], [1], [1]), policy, 2, UNIT)
        with announced():
            kernel(instance, instance.policy, None)
        _warm.add(kernel)


def _ahead(i: Instance, policy: Policy, progress: Progress | None) -> Run:
    from kvolume.engine.kernels.ahead import ahead
    from kvolume.engine.kernels.heap import sortable
    from kvolume.engine.kernels.profile import room_for

    share = float(policy.order.share)
    memory = room_for(min(len(i), i.kv_tokens))
    charges = i.charges if share else np.empty(0)
    start = np.full(len(i), -1, np.int64)
    problem = (i.arrival, i.prompt, i.output, sortable(i.keys), charges, i.kv_tokens, share)
    watched(lambda done: ahead(*problem, *memory, start, done), len(i), progress)
    return _uninterrupted(i, start)


def _uninterrupted(i: Instance, start: npt.NDArray[np.int64]) -> Run:
    """The run in which everybody starts in round `start` and stays to the end."""
    kv_token_ticks = float(volume(i.prompt, i.output).sum())
    never, queued = np.zeros(len(i), np.int64), start > i.arrival
    return Run(start, start + 1, start + i.output, never, queued, None, None, kv_token_ticks, True)


def _ranks(i: Instance) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Requests in the policy's order, and the place of each in it."""
    by = np.argsort(i.keys, kind="stable")
    rank = np.empty_like(by)
    rank[by] = np.arange(by.size)
    return by, rank


def _easy(i: Instance, policy: Policy, progress: Progress | None) -> Run:
    from kvolume.engine.kernels.bitset import empty_sets
    from kvolume.engine.kernels.easy import easy

    assert isinstance(policy, Reserving)
    by, rank = _ranks(i)
    start = np.full(len(i), -1, np.int64)
    problem = (i.arrival, i.prompt, i.output, rank, by, i.charges, i.kv_tokens, float(policy.order.share), policy.depth)
    sets = empty_sets(1, len(i))
    watched(lambda done: easy(*problem, *sets, start, done), len(i), progress)
    return _uninterrupted(i, start)


def _greedy(i: Instance, policy: Policy, progress: Progress | None) -> Run:
    from kvolume.engine.kernels import greedy as k
    from kvolume.engine.kernels.heap import sortable

    admission, share = policy.admission, float(policy.order.share)
    limit = admission.limit(i.kv_tokens) if isinstance(admission, Protected) else i.kv_tokens
    charges = i.charges if share else np.empty(0)
    r = np.full((7, len(i)), -1, np.int64)
    r[[k.MADE, k.EVICTED]] = 0
    q = np.zeros((3, len(i)), np.bool_)
    problem = (i.arrival, i.prompt, i.output, sortable(i.keys), charges)
    rules = (i.kv_tokens, limit, policy.eviction.keep, share)
    log, stays, finished = watched(lambda done: k.greedy(*problem, *rules, r, q, done), len(i), progress)
    episodes = Episodes(*log[:, :stays])
    start, finish = r[k.START], r[k.FINISH]
    first = np.where(start < 0, NEVER, start + 1)
    rounds = episodes.end - episodes.begin
    held = rounds * (i.prompt[episodes.request] + episodes.kept) + rounds * (rounds + 1) // 2
    return Run(start, first, finish, r[k.EVICTED], start > i.arrival, episodes, None, float(held.sum()), bool(finished))


def _general(i: Instance, policy: Policy, progress: Progress | None) -> Run:
    from kvolume.engine.kernels import state as k
    from kvolume.engine.kernels.general import general

    by, rank = _ranks(i)
    p = np.stack((i.arrival, i.prompt, i.output, rank, by, i.most))
    r, z, f, v, low, high = k.fresh(len(i), i.guess, i.kv_tokens, first_random(policy.seed))
    rules, costs = _rules(i.kv_tokens, policy), costs_of(i.clock)
    log, stretches, finished = watched(
        lambda done: general(p, r, z, f, v, low, high, i.charges, rules, costs, done), len(i), progress
    )
    return Run(
        r[k.START], r[k.FIRST], r[k.FINISH], r[k.EVICTED], r[k.START_ROUND] > r[k.JOINED],
        Episodes(*log[:, : z[k.STAYS]]), None if i.clock.unit else Segments(*stretches[:, : z[k.STRETCHES]]),
        float(f[k.KV_TICKS]), bool(finished),
    )  # fmt: skip


def _rules(kv_tokens: int, policy: Policy) -> k.Rules:
    """A policy's three answers as numbers."""
    from kvolume.engine.kernels import state as k

    admission, eviction = policy.admission, policy.eviction
    return k.Rules(
        m=kv_tokens,
        admission={LookAhead: k.LOOK_AHEAD, Greedy: k.GREEDY, Protected: k.GREEDY, Peak: k.PEAK}[type(admission)],
        limit=admission.limit(kv_tokens) if isinstance(admission, Protected) else kv_tokens,
        eviction={Latest: k.LATEST, LargestVolume: k.LARGEST, All: k.ALL, AtRandom: k.RANDOM}[type(eviction)],
        keep=eviction.keep,
        beta=float(eviction.beta) if isinstance(eviction, AtRandom) else 0.0,
        patience=eviction.patience,
        backfill=policy.backfill,
        share=float(policy.order.share),
    )


def costs_of(clock: Clock) -> k.Costs:
    """A clock, as kernels take it."""
    from kvolume.engine.kernels.state import Costs

    return Costs(clock.unit, clock.base, clock.request, clock.kv_token, clock.prefill_token, clock.prefill_pair)
