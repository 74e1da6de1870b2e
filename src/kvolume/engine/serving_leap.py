"""The fast serving engine: hands a three-answer policy to the compiled kernel; equal to `serving.run` in all."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kvolume.clock import UNIT
from kvolume.engine.instance import Instance, prepare
from kvolume.engine.leap import costs_of
from kvolume.engine.result import Episodes, Run, Segments
from kvolume.engine.served import Gaps, Served
from kvolume.engine.serving_config import ServingConfig
from kvolume.engine.serving_general import any_shared, serve_general
from kvolume.engine.watch import Progress, announced, timed, watched
from kvolume.policy import (
    Arrival,
    ArrivalShare,
    Greedy,
    LargestVolume,
    LastInOrder,
    Latest,
    LookAhead,
    Peak,
    Planner,
    Policy,
    Protected,
)
from kvolume.policy.order import Order
from kvolume.policy.rules import PATIENCE
from kvolume.workload import Workload

if TYPE_CHECKING:
    from kvolume.engine.kernels.serving_state import Options


def can_run(policy: Planner) -> bool:
    """Can the kernel run the policy? Only built-in answers have a compiled twin; orders may be anybody's."""
    return (
        isinstance(policy, Policy)
        and type(policy).plan is Policy.plan
        and type(policy.admission) in (LookAhead, Greedy, Peak, Protected)
        and type(policy.eviction) in (Latest, LargestVolume, LastInOrder)
        and policy.eviction.keep
        and (type(policy.order) is ArrivalShare or type(policy.order).queue is Order.queue)
    )


def run(instance: Instance, config: ServingConfig, progress: Progress | None) -> tuple[Run, float]:
    """Serve everybody, and how many seconds that took.

    In the leaping kernel where that is exact: without drafts, and without a block that could be found again. Where no
    two prompts begin alike only a preempted request finds blocks: the leaping kernel stops at the first preemption.
    """
    spent = 0.0
    caching = config.enable_prefix_caching
    if not config.num_speculative_tokens and (not caching or not any_shared(instance)):
        _warm_up(ServingConfig())
        done, spent = timed(_leap, instance, config, progress, 1 if caching else PATIENCE)
        if done.finished or not caching:
            return done, spent
    _warm_up(ServingConfig(num_speculative_tokens=1))
    done, seconds = timed(serve_general, instance, config, _options(instance, config, PATIENCE), progress)
    return done, spent + seconds


@cache
def _warm_up(config: ServingConfig) -> None:
    """Compile a kernel, or load it from its cache, on the smallest instance, so that no run is timed with it."""
    with announced():
        one = prepare(Workload([0], [1], [1]), Policy(Arrival(), Greedy()), 16, UNIT, holding="engine")
        if config.num_speculative_tokens:
            serve_general(one, config, _options(one, config, 1), None)
        else:
            _leap(one, config, None, 1)


def _options(i: Instance, config: ServingConfig, patience: int) -> Options:
    from kvolume.engine.kernels import serving_state as k
    from kvolume.engine.kernels import state

    policy, usable = i.policy, i.kv_tokens // config.block_size
    assert isinstance(policy, Policy)
    m = usable * config.block_size
    admission, eviction = policy.admission, policy.eviction
    return k.Options(
        admission={LookAhead: state.LOOK_AHEAD, Greedy: state.GREEDY, Peak: state.PEAK,
                   Protected: k.PROTECTED}[type(admission)],
        limit=admission.limit(m) if isinstance(admission, Protected) else m,
        eviction={Latest: k.LATEST, LargestVolume: k.LARGEST, LastInOrder: k.LAST_IN_ORDER}[type(eviction)],
        guesses=isinstance(admission, LookAhead | Peak) or isinstance(eviction, LargestVolume),
        backfill=policy.backfill,
        share=float(policy.order.share),
        m=m,
        block=config.block_size,
        budget=config.max_num_batched_tokens,
        seqs=config.max_num_seqs,
        chunked=config.enable_chunked_prefill,
        long_prefill=config.long_prefill_token_threshold,
        whole=config.scheduler_reserve_full_isl,
        spare=config.watermark_blocks(usable),
        patience=patience,
    )  # fmt: skip


def _leap(i: Instance, config: ServingConfig, progress: Progress | None, patience: int) -> Run:
    from kvolume.engine.kernels import serving_state as k
    from kvolume.engine.kernels import state
    from kvolume.engine.kernels.serving import serve

    by = np.argsort(i.keys, kind="stable")
    rank = np.empty_like(by)
    rank[by] = np.arange(by.size)
    p = np.stack((i.arrival, i.prompt, i.output, rank, by, i.most, _ties(i, by)))
    r, z, f, v, low, high = k.fresh(len(i), i.guess, i.kv_tokens // config.block_size)
    options = _options(i, config, patience)
    log, stretches, gaps, finished = watched(
        lambda done: serve(p, r, z, f, v, low, high, i.charges, options, costs_of(i.clock), done), len(i), progress
    )
    counts = int(z[k.PASSES]), int(z[k.TOKENS]), int(z[k.AGAIN])
    return Run(
        r[k.START], r[k.FIRST], r[k.FINISH], r[k.EVICTED], r[k.START_STEP] > r[k.JOINED],
        Episodes(*log[:, : z[k.STAYS]]), Segments(*stretches[:, : z[k.STRETCHES]]), float(f[state.KV_TICKS]),
        bool(finished), Served(Gaps(*gaps[:, : z[k.GAPS]]), *counts),
    )  # fmt: skip


def _ties(i: Instance, by: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Places in the policy's order; requests with equal keys and arrivals share one."""
    key, arrival = i.keys[by], i.arrival[by]
    new = (np.diff(key) != 0) | (np.diff(arrival) != 0)
    out = np.empty(len(i), np.int64)
    out[by] = np.concatenate(([0], np.cumsum(new)))
    return out
