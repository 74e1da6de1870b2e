"""Reservations for the head, exact lengths, unit rounds: the fast twin of policy/easy.py.

As in ahead.py completions are no events. While the head waits for its reserved round, others are tried in order; one
that fits but would delay the head may cease to do so in any round, so then every round is an event.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.bitset import add, discard, next_from
from kvolume.engine.kernels.jit import ZERO, inner, kernel, rule
from kvolume.engine.kernels.profile import flat_compact, flat_earliest, flat_insert
from kvolume.engine.kernels.state import BY_RANK
from kvolume.policy import rules

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

takes_oldest = rule(rules.takes_oldest)


@inner
def flat_remove(e: Ints, after: Ints, lo: int, end: int, last: int, w: int) -> None:
    """Undo flat_insert; the caller's end shrinks by one."""
    p = lo
    while e[p] != last or after[p] - after[p + 1] != w:
        p += 1
    for j in range(lo, p):
        after[j] -= w
    for j in range(p, end - 1):
        e[j] = e[j + 1]
        after[j] = after[j + 1]
    after[end - 1] = 0


@kernel
def easy(
    a: Ints, s: Ints, o: Ints, rank: Ints, by: Ints, charge: Floats, m: int, share: float, depth: int,
    low: Words, high: Words, start: Ints, progress: Ints,
) -> None:  # fmt: skip
    """Fill `start` (all -1) with first rounds. `a` ascending, every s + o <= m; by[rank] is the policy's order."""
    n = a.size
    room = 2 * min(n, m) + 64
    e, after = np.empty(room, np.int64), np.empty(room + 2, np.int64)
    after[0] = 0
    lo, end, now, nx, waiting, oldest = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    admitted, through_lane = 0.0, 0.0
    while True:
        while nx < n and a[nx] <= now:
            add(low, high, BY_RANK, rank[nx])
            waiting += 1
            nx += 1
        if waiting == 0:
            if nx == n:
                return
            now = a[nx]
            continue
        while start[oldest] >= 0:
            oldest += 1
        lane = takes_oldest(charge[oldest], through_lane, admitted, share)
        place = next_from(low, high, BY_RANK, ZERO)
        head = oldest if lane else by[place]
        while lo < end and e[lo] < now:
            lo += 1
        if end + 2 >= room:
            end = flat_compact(e, after, lo, end)
            lo = ZERO
        t = flat_earliest(e, after, lo, end, s[head], o[head], m, now)
        chosen = head if t == now else -1
        wake = t
        tried = ZERO
        while chosen < 0 and tried < depth and place >= 0:
            c = by[place]
            place = next_from(low, high, BY_RANK, place + 1)
            if c == head:
                continue
            tried += 1
            fits = flat_earliest(e, after, lo, end, s[c], o[c], m, now)
            if fits > now:
                wake = min(wake, fits)
                continue
            last, w = now + o[c] - 1, s[c] - now + 1
            flat_insert(e, after, lo, end, last, w)
            if flat_earliest(e, after, lo, end + 1, s[head], o[head], m, now) <= t:
                chosen = c
            else:
                wake = now + 1
            flat_remove(e, after, lo, end + 1, last, w)
        if chosen < 0:
            now = min(wake, a[nx]) if nx < n else wake
            continue
        start[chosen] = now
        discard(low, high, BY_RANK, rank[chosen])
        waiting -= 1
        admitted += charge[chosen]
        if lane and chosen == head:
            through_lane += charge[chosen]
        if waiting == 0:
            admitted = through_lane = 0.0
        flat_insert(e, after, lo, end, now + o[chosen] - 1, s[chosen] - now + 1)
        end += 1
        progress[0] += 1
