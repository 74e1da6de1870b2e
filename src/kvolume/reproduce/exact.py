"""The optimum of a handful of requests, in well under a millisecond: what the adversary compares with.

The best schedule without preemption of the unit-step model, as `kvolume.optimum` has it by integer programming; here
by branch and bound over the starts in order of time. A partial schedule is cut where its latencies, and a bound on
those of the rest (volumes against the memory that is left, smallest first), reach the best known.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.errors import InputError
from kvolume.geometry import volume

Ints = npt.NDArray[np.int64]
MOST_REQUESTS = 16
MOST_NODES = 20_000_000


def tiny_optimum(
    arrival: Ints, s: Ints, o: Ints, kv_tokens: int, *, most_nodes: int = MOST_NODES
) -> tuple[int, Ints] | None:
    """Least sum of latencies and its starts, in the order given; None where `most_nodes` were not enough.

    Raises InputError for more than 16 requests, or one that can never fit.
    """
    from kvolume.reproduce.kernels import least_total

    if not 1 <= o.size <= MOST_REQUESTS or int((s + o).max()) > kv_tokens:
        raise InputError(f"Branch and bound takes 1 to {MOST_REQUESTS} requests that fit. Got {o.size} requests.")
    order = np.lexsort((o, s, arrival))  # equal requests side by side: only one order of theirs is tried
    a, s, o = (np.ascontiguousarray(x[order], np.int64) for x in (arrival, s, o))
    start = _one_by_one(a, o)
    total = least_total(a, s, o, volume(s, o), kv_tokens, int((start + o).sum()), start, most_nodes)
    if total < 0:
        return None
    back = np.empty_like(start)
    back[order] = start
    return int(total - a.sum()), back


def _one_by_one(arrival: Ints, o: Ints) -> Ints:
    """Starts of the schedule that runs one request at a time, in order of arrival."""
    start = np.empty_like(o)
    free = 0
    for i in range(o.size):
        start[i] = max(free, int(arrival[i]))
        free = int(start[i] + o[i])
    return start


def is_feasible(arrival: Ints, s: Ints, o: Ints, start: Ints, kv_tokens: int) -> bool:
    """Does nobody start before it arrives, and does no round hold more than the budget?"""
    if (start < arrival).any():
        return False
    held = np.zeros(int((start + o).max()) + 1, np.int64)
    for x, prompt, output in zip(start.tolist(), s.tolist(), o.tolist(), strict=True):
        held[x + 1 : x + output + 1] += prompt + np.arange(1, output + 1)
    return int(held.max()) <= kv_tokens
