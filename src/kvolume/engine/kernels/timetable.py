"""GBA-D, compiled: the timetable of GBA moves up wherever the rest of it fits (policy/gba.py)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import ZERO, inner, kernel
from kvolume.engine.kernels.machine import (
    EVICTED,
    FINISH,
    GUESS,
    HELD,
    IN,
    MOST,
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
)  # fmt: skip
from kvolume.engine.kernels.phases import (
    HEAD,
    OVER_HEAD,
    OVER_TAIL,
    TAIL,
    class_of,
    line_up,
    raised,
    staggered_slots,
)  # fmt: skip
from kvolume.engine.kernels.state import A, Costs, O, S

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@inner
def until_of(r: Ints, batch: Ints, size: int, now: int) -> int:
    """Rounds until the last of those that run is expected to leave."""
    until = ZERO
    for j in range(size):
        until = max(until, r[IN, batch[j]] + r[GUESS, batch[j]] - now)
    return until


@inner
def fits(
    p: Ints, r: Ints, batch: Ints, size: int, first: int, link: Ints, at: int, tau: int, k: int, whole: bool,
    slice_: int, m: int, now: int, room: Ints,
) -> bool:  # fmt: skip
    """`gba.timetable_fits`, over differences: rows of room are what is held at round 0 and how many hold, from now on.

    The jobs are `first` and those that it links to; with `whole` only those that fit with a slice count.
    """
    until = until_of(r, batch, size, now)
    if until == 0:
        return True
    for x in range(until + 1):
        room[0, x] = 0
        room[1, x] = 0
    for j in range(size):
        c = batch[j]
        held = p[S, c] + 1 + now - r[IN, c]
        left = r[IN, c] + r[GUESS, c] - now
        room[0, 0] += held
        room[1, 0] += 1
        room[0, left] -= held
        room[1, left] -= 1
    j = at
    c = first
    while c >= 0:
        begin = j * tau // k - at * tau // k
        if begin >= until:
            break
        held = p[S, c] + 1 - begin
        end = min(begin + r[GUESS, c], until)
        room[0, begin] += held
        room[1, begin] += 1
        room[0, end] -= held
        room[1, end] -= 1
        j += 1
        c = link[c] if whole else -1
    held = ZERO
    count = ZERO
    for x in range(until):
        held += room[0, x]
        count += room[1, x]
        if held + count * x > m:
            return False
    return True


@kernel
def timetable(
    p: Ints, slices: Ints, m: int, costs: Costs, r: Ints, z: Ints, f: Floats, new: Ints, progress: Ints
) -> tuple[Ints, Ints]:
    """Fill r, z and f. The log of stays and that of stretches (z says how much of them is filled)."""
    n = p.shape[1]
    log, stretches = np.empty((4, n + 64), np.int64), np.empty((2, 64), np.int64)
    lists, link = np.full((4, slices.size), -1, np.int64), np.full(n, -1, np.int64)
    widest = np.zeros(slices.size, np.int64)  # of those that fit with a slice, by level
    batch, room = np.empty(min(n, m) + 1, np.int64), np.zeros((2, 4 * m + 2), np.int64)
    due = np.full(n, -1, np.int64)  # round in which it completes or outgrows its guess
    ends, ends_items, ends_size = np.empty(2 * n + 64, np.int64), np.empty(2 * n + 64, np.int64), ZERO
    ahead, at, tau, k = ZERO - 1, ZERO, ZERO + 1, ZERO + 1  # the first of the phase that has not started
    waiting = ZERO
    while True:
        now = z[NOW]
        gone = False
        while ends_size > 0 and ends[0] <= now:  # completions, and lengths that were predicted too short
            c, stamp = ends_items[0], ends[0]
            ends_size = pop(ends, ends_items, ends_size)
            if due[c] != stamp or r[IN, c] < 0:
                continue
            made = now - r[IN, c]
            if made == p[O, c]:
                leave(p, r, z, log, c)
                r[FINISH, c] = z[TICK]
                progress[0] += 1
                gone = True
            else:
                while r[GUESS, c] <= made:
                    r[GUESS, c] = raised(r[GUESS, c], p[MOST, c])
                due[c] = r[IN, c] + min(p[O, c], r[GUESS, c])
                ends_size = push(ends, ends_items, ends_size, due[c], c)
        if gone:
            size = ZERO
            for j in range(z[SIZE] + n):
                if size == z[SIZE]:
                    break
                if r[IN, batch[j]] >= 0:
                    batch[size] = batch[j]
                    size += 1
        while z[NEXT] < n and p[A, z[NEXT]] <= z[TICK]:  # arrivals
            wait(p, r, lists, link, widest, slices, m, z[NEXT])
            waiting += 1
            z[NEXT] += 1
        evicted = z[HELD] + z[SIZE] * now > m
        while z[HELD] + z[SIZE] * now > m:
            c = batch[z[SIZE] - 1]
            leave(p, r, z, log, c)
            r[EVICTED, c] += 1
            wait(p, r, lists, link, widest, slices, m, c)
            waiting += 1
        while not evicted and waiting > 0:
            level, whole = ZERO, True
            c = ahead
            if c < 0:  # a phase that begins now, if its first job can
                while lists[HEAD, level] < 0 and lists[OVER_HEAD, level] < 0:
                    level += 1
                c, tau, at = lists[HEAD, level], slices[level], ZERO
                whole = c >= 0
                if whole:
                    k = staggered_slots(widest[level], tau, m)
                else:
                    c = lists[OVER_HEAD, level]
                    tau, k = m - p[S, c], ZERO + 1
            if z[HELD] + z[SIZE] * now + p[S, c] + 1 > m:
                break
            if not fits(p, r, batch, z[SIZE], c, link, at, tau, k, whole, tau, m, now, room):
                break
            if ahead < 0:
                if whole:
                    lists[HEAD, level] = lists[TAIL, level] = -1
                    widest[level] = 0
                else:
                    lists[OVER_HEAD, level] = link[c]
                    if link[c] < 0:
                        lists[OVER_TAIL, level] = -1
                    link[c] = -1
            ahead = link[c]
            at += 1
            batch[z[SIZE]] = c
            log = roomy(log, z[STAYS])
            enter(p, r, z, new, log, c)
            due[c] = now + min(p[O, c], r[GUESS, c])
            ends_size = push(ends, ends_items, ends_size, due[c], c)
            waiting -= 1
        if z[SIZE] == 0 and not evicted:
            if z[NEXT] == n:
                return log, stretches
            idle(p, z, costs)
            continue
        if ends_size + n > ends.size:
            kept = ZERO
            for j in range(ends_size):
                if r[IN, ends_items[j]] >= 0 and due[ends_items[j]] == ends[j]:
                    kept = push(ends, ends_items, kept, ends[j], ends_items[j])
            ends_size = kept
        stretches = roomy(stretches, z[STRETCHES])
        step(r, z, f, new, costs, stretches, ZERO + 1)


@inner
def wait(
    p: Ints, r: Ints, lists: Ints, link: Ints, widest: Ints, slices: Ints, m: int, c: int
) -> None:
    """Into the list of its class."""
    level = class_of(slices, r[GUESS, c])
    if p[S, c] + slices[level] <= m:
        widest[level] = max(widest[level], p[S, c])
    line_up(p, lists, link, slices, m, level, c)
