"""The best schedule known of an instance that is too large for a proof: policies, then local search over orders.

An order becomes a schedule by starting each request, one after the other, in the first round in which it fits beside
those placed before. Some order gives an optimum: any schedule can be made so, in order of its starts, with no latency
larger. What comes out is feasible, so that it bounds the optimum from above and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.engine import simulate
from kvolume.policy.rules import first_random
from kvolume.reproduce.exact import is_feasible
from kvolume.workload import Workload

Ints = npt.NDArray[np.int64]
PORTFOLIO = ("svf", "sjf", "fcfs", "svf:backfill=8", "sjf:backfill=8")


class Known(NamedTuple):
    """A schedule: sum of latencies and starts, in the workload's order."""

    total_latency: int
    start: Ints


def by_policy(workload: Workload, kv_tokens: int) -> Known:
    """The best schedule of a few policies that never evict."""
    runs = [simulate(workload, p, kv_tokens=kv_tokens) for p in PORTFOLIO]
    best = min(runs, key=lambda r: r.latency.sum())
    return Known(int(best.latency.sum()), np.asarray(best.start))


def by_local_search(workload: Workload, kv_tokens: int, *, steps: int = 20_000, seed: int = 0) -> Known:
    """The best of a few policies, then of local search from it and from the order of volumes, `steps` moves each."""
    from kvolume.reproduce.kernels import improve

    a, s, o = workload.arrival_ticks(), workload.prompt_tokens, workload.output_tokens
    a, s, o = (np.array(x, np.int64) for x in (a, s, o))
    best = by_policy(workload, kv_tokens)
    n = len(workload)
    for k, order in enumerate((np.argsort(best.start, kind="stable"), np.argsort(workload.volumes(), kind="stable"))):
        start = np.zeros(n, np.int64)
        for reach in (n, max(2, n // 8)):  # far, then near
            moves = steps // 2, first_random(seed + k), start, reach
            total = improve(np.array(order, np.int64), a, s, o, kv_tokens, *moves)
            order = np.argsort(start, kind="stable")
            total = int(total - a.sum())
            if total < best.total_latency:
                best = Known(total, start.copy())
    if not is_feasible(a, s, o, best.start, kv_tokens):
        raise AssertionError("local search made a schedule that is not feasible")
    return best
