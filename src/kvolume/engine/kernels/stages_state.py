"""What the kernel of WAIT knows of its groups: who is inside, who stands at an entry, who leaves when."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import ZERO, inner
from kvolume.engine.kernels.machine import (
    STAY,
)  # fmt: skip
from kvolume.engine.kernels.state import O, S

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# rows of g, by group: COUNT and TOKENS held of those inside (tokens as of the group's clock 0), the group's CLOCK,
# how many stand at the entry (WAITING for newcomers, BOUNDARY for paused ones) and what these hold
COUNT, TOKENS, CLOCK, WAITING, BOUNDARY, PARKED, RUNS = range(7)
# rows of q, by request: its GROUP, the tokens MADE_IN when it joined the group, the group's clock then, its neighbours
# in the list of those who leave at the same time; PLACE: where it is
GROUP, MADE_IN, SINCE_CLOCK, BEFORE, AFTER, PLACE = range(6)
OUTSIDE, INSIDE, AT_ENTRY = range(3)


@inner
def made(g: Ints, q: Ints, c: int) -> int:
    """Output tokens of a request in the cache."""
    if q[PLACE, c] == AT_ENTRY:
        return q[MADE_IN, c]
    return q[MADE_IN, c] + g[CLOCK, q[GROUP, c]] - q[SINCE_CLOCK, c]


@inner
def slot_of(p: Ints, g: Ints, q: Ints, bounds: Ints, leaves: Ints, c: int) -> int:
    """Column of `leaves` for the time at which a request leaves its group."""
    k = q[GROUP, c]
    last = p[O, c]
    if k + 1 < bounds.size:
        last = min(last, bounds[k])
    return (q[SINCE_CLOCK, c] + last - q[MADE_IN, c]) % leaves.shape[1]


@inner
def go_in(p: Ints, g: Ints, q: Ints, bounds: Ints, leaves: Ints, c: int, k: int, tokens: int) -> None:
    """Inside group k with so many output tokens."""
    q[GROUP, c] = k
    q[PLACE, c] = INSIDE
    q[MADE_IN, c] = tokens
    q[SINCE_CLOCK, c] = g[CLOCK, k]
    g[COUNT, k] += 1
    g[TOKENS, k] += p[S, c] + tokens - g[CLOCK, k]
    at = slot_of(p, g, q, bounds, leaves, c)
    first = leaves[k, at]
    q[BEFORE, c] = -1
    q[AFTER, c] = first
    if first >= 0:
        q[BEFORE, first] = c
    leaves[k, at] = c


@inner
def go_out(p: Ints, g: Ints, q: Ints, bounds: Ints, leaves: Ints, c: int) -> None:
    """Out of the group, or away from its entry."""
    k = q[GROUP, c]
    if q[PLACE, c] == AT_ENTRY:
        g[BOUNDARY, k] -= 1
        g[PARKED, k] -= p[S, c] + q[MADE_IN, c]
    else:
        g[COUNT, k] -= 1
        g[TOKENS, k] -= p[S, c] + q[MADE_IN, c] - q[SINCE_CLOCK, c]
        if q[BEFORE, c] >= 0:
            q[AFTER, q[BEFORE, c]] = q[AFTER, c]
        else:
            leaves[k, slot_of(p, g, q, bounds, leaves, c)] = q[AFTER, c]
        if q[AFTER, c] >= 0:
            q[BEFORE, q[AFTER, c]] = q[BEFORE, c]
    q[PLACE, c] = OUTSIDE


@inner
def segment_of(bounds: Ints, tokens: int) -> int:
    """The segment in which the next token is made."""
    k = ZERO
    while k + 1 < bounds.size and bounds[k] <= tokens:
        k += 1
    return k


@inner
def quiet(g: Ints, leaves: Ints, most: int) -> int:
    """Rounds, `most` at most, until somebody leaves a group that runs, or one where somebody is left at the entry."""
    for k in range(g.shape[1]):
        if g[RUNS, k] == 0:
            continue
        if g[BOUNDARY, k] > 0:
            return ZERO + 1
        if g[COUNT, k] > 0:
            rest = ZERO + 1
            while rest < most and leaves[k, (g[CLOCK, k] + rest) % leaves.shape[1]] < 0:
                rest += 1
            most = rest
    return most


@inner
def waiting_in(g: Ints) -> int:
    """How many wait, in all groups."""
    total = ZERO
    for k in range(g.shape[1]):
        total += g[WAITING, k]
    return total


@inner
def stand(
    p: Ints, r: Ints, g: Ints, q: Ints, stays: Ints, items: Ints, sizes: Ints, c: int, k: int, tokens: int
) -> None:
    """At the entry of segment k, with so many output tokens."""
    if sizes[k] == stays.shape[1]:  # only those who really stand there
        kept = ZERO
        for j in range(sizes[k]):
            if stands(r, q, stays, items, k, j):
                kept = push(stays[k], items[k], kept, stays[k, j], items[k, j])
        sizes[k] = kept
    q[GROUP, c] = k
    q[PLACE, c] = AT_ENTRY
    q[MADE_IN, c] = tokens
    g[BOUNDARY, k] += 1
    g[PARKED, k] += p[S, c] + tokens
    sizes[k] = push(stays[k], items[k], sizes[k], r[STAY, c], c)


@inner
def stands(r: Ints, q: Ints, stays: Ints, items: Ints, k: int, j: int) -> bool:
    """Does entry j of the heap of segment k stand for somebody?"""
    c = items[k, j]
    return q[PLACE, c] == AT_ENTRY and q[GROUP, c] == k and r[STAY, c] == stays[k, j]


@inner
def next_at_entry(r: Ints, q: Ints, stays: Ints, items: Ints, size: int, k: int) -> int:
    """Drop entries of the heap of segment k that stand for nobody; its new size."""
    while size > 0 and not stands(r, q, stays, items, k, 0):
        size = pop(stays[k], items[k], size)
    return size
