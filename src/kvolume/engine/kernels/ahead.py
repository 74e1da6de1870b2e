"""Look-ahead admission with exact lengths in unit rounds, leaping from admission to admission.

The head's earliest start looks across future completions, so completions are no events, and an arrival is one only
if it changes the head. Retrying only at completions would be wrong: a blocked head can become feasible in between,
because its share at every completion ahead shrinks by one token in each round that it waits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import ZERO, kernel, rule
from kvolume.engine.kernels.profile import (
    FLAT_MOST,
    blocked_drop,
    blocked_earliest,
    blocked_insert,
    flat_compact,
    flat_earliest,
    flat_insert,
)
from kvolume.policy import rules

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

takes_oldest = rule(rules.takes_oldest)


@kernel
def ahead(
    a: Ints, s: Ints, o: Ints, key: Ints, charge: Floats, m: int, share: float,
    mem: Ints, line: Ints, free: Ints, meta: Ints, start: Ints, progress: Ints,
) -> None:  # fmt: skip
    """Fill `start` (all -1) with first rounds. `a` ascending, every s + o <= m; `charge` is read only if share > 0."""
    n = a.size
    keys = np.empty(n, np.int64)
    items = np.empty(n, np.int64)
    queued = ZERO  # entries of the heap; with lanes some of them have started and are dropped when they surface
    e = np.empty(4096, np.int64)
    after = np.empty(4098, np.int64)
    after[0] = 0
    lo = ZERO
    end = ZERO
    flat = True
    now = ZERO
    nx = ZERO  # next to arrive
    waiting = ZERO
    oldest = ZERO
    lane = False
    admitted = 0.0
    through_lane = 0.0
    done = ZERO
    while True:
        while nx < n and a[nx] <= now:
            queued = push(keys, items, queued, key[nx], nx)
            waiting += 1
            nx += 1
        if waiting == 0:
            if nx == n:
                return
            now = a[nx]
            queued = ZERO
            continue
        if share > 0.0:
            while start[items[0]] >= 0:
                queued = pop(keys, items, queued)
            while start[oldest] >= 0:
                oldest += 1
            lane = takes_oldest(charge[oldest], through_lane, admitted, share)
        c = oldest if lane else items[0]
        if flat:
            while lo < end and e[lo] < now:
                lo += 1
            t = flat_earliest(e, after, lo, end, s[c], o[c], m, now)
        else:
            blocked_drop(mem, line, free, meta, now)
            t = blocked_earliest(mem, line, meta, s[c], o[c], m, now)
        new_head = False
        while nx < n and a[nx] <= t and not new_head:
            queued = push(keys, items, queued, key[nx], nx)
            waiting += 1
            new_head = not lane and items[0] == nx
            if new_head:
                now = a[nx]
            nx += 1
        if new_head:
            continue
        now = t
        start[c] = now
        waiting -= 1
        if not lane:
            queued = pop(keys, items, queued)
        if share > 0.0:
            admitted += charge[c]
            if lane:
                through_lane += charge[c]
            if waiting == 0:
                admitted = 0.0
                through_lane = 0.0
        last = now + o[c] - 1
        w = s[c] - now + 1
        if flat:
            while lo < end and e[lo] < now:
                lo += 1
            if end - lo >= FLAT_MOST:
                flat = False
                for k in range(lo, end):
                    blocked_insert(mem, line, free, meta, e[k], after[k] - after[k + 1])
            else:
                if end + 2 >= e.size:
                    end = flat_compact(e, after, lo, end)
                    lo = ZERO
                flat_insert(e, after, lo, end, last, w)
                end += 1
        if not flat:
            blocked_drop(mem, line, free, meta, now)
            blocked_insert(mem, line, free, meta, last, w)
        done += 1
        progress[0] = done
