"""A-min, compiled: look-ahead on lower bounds that rise with every eviction (policy/interval.py).

The profile has the last round and the offset of everybody who has not outgrown its bound, by last round. Who has
outgrown it counts in the coming round only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import ZERO, inner, kernel
from kvolume.engine.kernels.machine import (
    EVICTED,
    FINISH,
    FRESH,
    GUESS,
    HELD,
    IN,
    NEXT,
    NOW,
    SIZE,
    STAYS,
    STRETCHES,
    TICK,
    enter,
    idle,
    leave,
    roomy,
    step,
    up_to_arrival,
)  # fmt: skip
from kvolume.engine.kernels.state import A, Costs, O, S

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LAST, OFFSET = 0, 1  # rows of the profile


@inner
def fits(v: Ints, low: int, end: int, s: int, b: int, now: int, m: int) -> bool:
    """May (s, bound b) start now, as far as rounds after the coming one go?"""
    last = now + b - 1
    offset, count, own = ZERO, ZERO, False
    for i in range(end - 1, low - 1, -1):
        x = v[LAST, i]
        if not own and x < last:
            own = True
            if offset + count * last + s + b > m:
                return False
        offset += v[OFFSET, i]
        count += 1
        first = i == low or v[LAST, i - 1] < x
        if first and x <= last and offset + count * x + s + 1 + x - now > m:
            return False
    return own or offset + count * last + s + b <= m


@inner
def forget(v: Ints, low: int, end: int, last: int, offset: int) -> int:
    """Take one out of the profile, if it is still there; the new end."""
    for i in range(low, end):
        if v[LAST, i] == last and v[OFFSET, i] == offset:
            for j in range(i, end - 1):
                v[LAST, j] = v[LAST, j + 1]
                v[OFFSET, j] = v[OFFSET, j + 1]
            return end - 1
    return end


@kernel
def interval(
    p: Ints, m: int, costs: Costs, r: Ints, z: Ints, f: Floats, new: Ints, progress: Ints
) -> tuple[Ints, Ints]:
    """Fill r, z and f; r[GUESS] has the bounds. The log of stays and that of stretches."""
    n = p.shape[1]
    log, stretches = np.empty((4, n + 64), np.int64), np.empty((2, 64), np.int64)
    queue, queue_items, waiting = np.empty(n, np.int64), np.empty(n, np.int64), ZERO
    ends, ends_items, ends_size = np.empty(2 * n + 64, np.int64), np.empty(2 * n + 64, np.int64), ZERO
    batch = np.empty(min(n, m) + 1, np.int64)
    v, low, end = np.empty((2, 2 * min(n, m) + 64), np.int64), ZERO, ZERO
    while True:
        now = z[NOW]
        before = z[SIZE]
        while ends_size > 0 and ends[0] <= now:
            c, stamp = ends_items[0], ends[0]
            ends_size = pop(ends, ends_items, ends_size)
            if r[IN, c] >= 0 and r[IN, c] + p[O, c] == stamp:
                end = forget(v, low, end, r[IN, c] + r[GUESS, c] - 1, p[S, c] + 1 - r[IN, c])
                leave(p, r, z, log, c)
                r[FINISH, c] = z[TICK]
                progress[0] += 1
        while z[NEXT] < n and p[A, z[NEXT]] <= z[TICK]:
            waiting = push(queue, queue_items, waiting, r[GUESS, z[NEXT]], z[NEXT])
            z[NEXT] += 1
        evicted = z[HELD] + z[SIZE] * now > m
        while z[HELD] + z[SIZE] * now > m:  # the smallest bound leaves, the latest of equals
            c = ZERO - 1
            for j in range(before):
                if r[IN, batch[j]] >= 0 and (c < 0 or r[GUESS, batch[j]] <= r[GUESS, c]):
                    c = batch[j]
            end = forget(v, low, end, r[IN, c] + r[GUESS, c] - 1, p[S, c] + 1 - r[IN, c])
            r[GUESS, c] = max(r[GUESS, c], now - r[IN, c])
            leave(p, r, z, log, c)
            r[EVICTED, c] += 1
            waiting = push(queue, queue_items, waiting, r[GUESS, c], c)
        if z[SIZE] < before:
            size = ZERO
            for j in range(before):
                if r[IN, batch[j]] >= 0:
                    batch[size] = batch[j]
                    size += 1
        while low < end and v[LAST, low] < now:
            low += 1
        full = False  # does the head not even fit into the coming round?
        while waiting > 0 and not evicted:
            c = queue_items[0]
            full = z[HELD] + z[SIZE] * now + p[S, c] + 1 > m
            if full or not fits(v, low, end, p[S, c], r[GUESS, c], now, m):
                break
            waiting = pop(queue, queue_items, waiting)
            batch[z[SIZE]] = c
            log = roomy(log, z[STAYS])
            enter(p, r, z, new, log, c)
            ends_size = push(ends, ends_items, ends_size, now + p[O, c], c)
            if end == v.shape[1]:
                for j in range(low, end):
                    v[LAST, j - low] = v[LAST, j]
                    v[OFFSET, j - low] = v[OFFSET, j]
                end -= low
                low = ZERO
            at = end
            while at > low and v[LAST, at - 1] > now + r[GUESS, c] - 1:
                v[LAST, at] = v[LAST, at - 1]
                v[OFFSET, at] = v[OFFSET, at - 1]
                at -= 1
            v[LAST, at] = now + r[GUESS, c] - 1
            v[OFFSET, at] = p[S, c] + 1 - now
            end += 1
        if z[SIZE] == 0 and not evicted:
            if z[NEXT] == n:
                return log, stretches
            idle(p, z, costs)
            continue
        if ends_size + n > ends.size:
            kept = ZERO
            for j in range(ends_size):
                if r[IN, ends_items[j]] >= 0 and r[IN, ends_items[j]] + p[O, ends_items[j]] == ends[j]:
                    kept = push(ends, ends_items, kept, ends[j], ends_items[j])
            ends_size = kept
        rest = ZERO + 1
        if z[FRESH] == 0 and not evicted and (waiting == 0 or full):
            held = z[HELD] + z[SIZE] * now
            rest = up_to_arrival(p, z, costs, z[SIZE], held, min(ends[0] - now, (m - held) // z[SIZE] + 1))
        stretches = roomy(stretches, z[STRETCHES])
        step(r, z, f, new, costs, stretches, rest)
