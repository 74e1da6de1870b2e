"""GSA, GSA-Spec and GBA: phases under the staggered pipeline schedule, compiled (policy/gsa.py, gsa_spec.py, gba.py).

A request that waits for a phase of some level stands in the list of that level, in order of arrival. Lists are
linked; they are joined at their ends, nearly always in order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import ZERO, inner, kernel, rule
from kvolume.engine.kernels.machine import (
    EVICTED,
    FINISH,
    FRESH,
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
    up_to_arrival,
)  # fmt: skip
from kvolume.engine.kernels.state import A, Costs, O, S
from kvolume.policy import rules

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

raised = rule(rules.raised)
staggered_slots = inner(rules.staggered_slots)

# rows of lists, by level: first and last of those that fit with a whole slice, and of those that do not
HEAD, TAIL, OVER_HEAD, OVER_TAIL = np.int64(0), np.int64(1), np.int64(2), np.int64(3)
# what a request is doing
WAITS, BASE, GUESSES, DONE = range(4)


@inner
def append(lists: Ints, link: Ints, head: int, level: int, c: int) -> None:
    """Into a list in order of arrival; head and head + 1 are its rows."""
    last = lists[head + 1, level]
    link[c] = -1
    if last < 0:
        lists[head, level] = c
        lists[head + 1, level] = c
    elif last < c:
        link[last] = c
        lists[head + 1, level] = c
    elif c < lists[head, level]:
        link[c] = lists[head, level]
        lists[head, level] = c
    else:
        at = lists[head, level]
        while link[at] < c:
            at = link[at]
        link[c] = link[at]
        link[at] = c


@inner
def line_up(p: Ints, lists: Ints, link: Ints, slices: Ints, m: int, level: int, c: int) -> None:
    """Wait for a phase of this level."""
    append(lists, link, HEAD if p[S, c] + slices[level] <= m else OVER_HEAD, level, c)


@inner
def class_of(slices: Ints, guess: int) -> int:
    """GBA's class of a length."""
    level = ZERO
    while slices[level] < guess:
        level += 1
    return level


@kernel
def phases(
    p: Ints, slices: Ints, m: int, speculate: bool, by_class: bool, costs: Costs,
    r: Ints, z: Ints, f: Floats, new: Ints, progress: Ints,
) -> tuple[Ints, Ints]:  # fmt: skip
    """Fill r, z and f. The log of stays and that of stretches (z says how much of them is filled)."""
    n = p.shape[1]
    log, stretches = np.empty((4, n + 64), np.int64), np.empty((2, 64), np.int64)
    lists, link = np.full((4, slices.size), -1, np.int64), np.full(n, -1, np.int64)
    does = np.zeros(n, np.int64)
    ahead, listed = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    due = np.full(n, -1, np.int64)  # round in which the present run ends
    ends, ends_items, ends_size = np.empty(2 * n + 64, np.int64), np.empty(2 * n + 64, np.int64), ZERO
    ready, ready_items, ready_size = np.empty(n, np.int64), np.empty(n, np.int64), ZERO  # may speculate
    stack, height = np.empty((2, 2 * n + 64), np.int64), ZERO  # speculative runs: request, first round
    jobs, count, at = np.empty(n, np.int64), ZERO, ZERO
    fallen, fell = np.empty(n, np.int64), np.full(n, -1, np.int64)  # killed in this round; the round of the last kill
    begin, tau, k, end = ZERO, ZERO + 1, ZERO + 1, ZERO
    busy, basis, left = False, ZERO, ZERO  # does a phase run; how many run in their slots, have theirs ahead
    while True:
        now = z[NOW]
        down = ZERO
        while ends_size > 0 and ends[0] <= now:  # completions, and slots that are over
            c, stamp = ends_items[0], ends[0]
            ends_size = pop(ends, ends_items, ends_size)
            if due[c] != stamp or does[c] == WAITS or does[c] == DONE:
                continue
            complete = r[IN, c] + p[O, c] == now
            leave(p, r, z, log, c)
            basis -= 1 if does[c] == BASE else 0
            if complete:
                r[FINISH, c] = z[TICK]
                does[c] = DONE
                left -= 1 if ahead[c] else 0
                progress[0] += 1
                continue
            r[EVICTED, c] += 1
            does[c] = WAITS
            fallen[down] = c
            fell[c] = now
            down += 1
            if by_class:
                while r[GUESS, c] <= tau:
                    r[GUESS, c] = raised(r[GUESS, c], p[MOST, c])
                line_up(p, lists, link, slices, m, class_of(slices, r[GUESS, c]), c)
        while z[NEXT] < n and p[A, z[NEXT]] <= z[TICK]:  # arrivals
            c = z[NEXT]
            line_up(p, lists, link, slices, m, class_of(slices, r[GUESS, c]) if by_class else ZERO, c)
            if speculate:
                listed[c] = True
                ready_size = push(ready, ready_items, ready_size, c, c)
            z[NEXT] += 1
        if not busy or now >= end or left + basis == 0:  # the next phase
            busy, count, at = False, ZERO, ZERO
            for level in range(slices.size):
                widest = ZERO
                c = lists[HEAD, level]
                while c >= 0:
                    if does[c] != DONE:
                        jobs[count] = c
                        count += 1
                        widest = max(widest, p[S, c])
                    c = link[c]
                lists[HEAD, level] = lists[TAIL, level] = -1
                tau = slices[level]
                while count == 0 and lists[OVER_HEAD, level] >= 0:
                    c = lists[OVER_HEAD, level]
                    lists[OVER_HEAD, level] = link[c]
                    if link[c] < 0:
                        lists[OVER_TAIL, level] = -1
                    if does[c] != DONE:
                        jobs[0] = c
                        count += 1
                        widest = p[S, c]
                        tau = m - widest
                if count > 0:
                    busy = True
                    begin = now
                    k = staggered_slots(widest, tau, m)
                    end = begin + (count - 1) * tau // k + tau
                    left = count
                    for j in range(count):
                        ahead[jobs[j]] = True
                        if not by_class and level + 1 < slices.size:
                            line_up(p, lists, link, slices, m, level + 1, jobs[j])
                    break
        if not busy:
            if z[NEXT] == n:
                return log, stretches
            idle(p, z, costs)
            continue
        while at < count and begin + at * tau // k == now:  # slots that begin
            c = jobs[at]
            at += 1
            ahead[c] = False
            left -= 0 if does[c] == DONE else 1
            if does[c] == GUESSES and now - r[IN, c] < tau:
                leave(p, r, z, log, c)
                r[EVICTED, c] += 1
                does[c] = WAITS
            if does[c] == WAITS:
                log = roomy(log, z[STAYS])
                enter(p, r, z, new, log, c)
                does[c] = BASE
                basis += 1
                due[c] = now + min(p[O, c], tau)
                ends_size = push(ends, ends_items, ends_size, due[c], c)
        if speculate:
            short = z[HELD] + z[SIZE] * now > m
            while z[HELD] + z[SIZE] * now > m:
                height -= 1
                c = stack[0, height]
                if does[c] == GUESSES and r[IN, c] == stack[1, height]:
                    leave(p, r, z, log, c)
                    r[EVICTED, c] += 1
                    does[c] = WAITS
                    fallen[down] = c
                    down += 1
            while not short and ready_size > 0:
                c = ready_items[0]
                if does[c] == WAITS and not ahead[c] and fell[c] != now:
                    if z[HELD] + z[SIZE] * now + p[S, c] + 1 > m:
                        break
                    log = roomy(log, z[STAYS])
                    enter(p, r, z, new, log, c)
                    does[c] = GUESSES
                    due[c] = now + p[O, c]
                    ends_size = push(ends, ends_items, ends_size, due[c], c)
                    stack[0, height] = c
                    stack[1, height] = now
                    height += 1
                ready_size = pop(ready, ready_items, ready_size)
                listed[c] = False
            for j in range(down):
                c = fallen[j]
                if does[c] == WAITS and not ahead[c] and not listed[c]:
                    listed[c] = True
                    ready_size = push(ready, ready_items, ready_size, c, c)
            if height + n > stack.shape[1]:
                height = live(stack, height, does, r)
        if ends_size + n > ends.size:
            ends_size = pruned(ends, ends_items, ends_size, due, does)
        rest = ZERO + 1
        if z[FRESH] + down == 0 and left + basis > 0:  # nothing until a run ends, a slot begins, or memory runs out
            rest = min(end, begin + at * tau // k if at < count else end, ends[0] if ends_size > 0 else end) - now
            if speculate and z[SIZE] > 0:
                rest = min(rest, (m - z[HELD] - z[SIZE] * now) // z[SIZE] + 1)
            rest = up_to_arrival(p, z, costs, z[SIZE], z[HELD] + z[SIZE] * now, rest)
        stretches = roomy(stretches, z[STRETCHES])
        step(r, z, f, new, costs, stretches, rest)


@inner
def live(stack: Ints, height: int, does: Ints, r: Ints) -> int:
    """Keep the entries of runs that go on; how many they are."""
    kept = ZERO
    for j in range(height):
        if does[stack[0, j]] == GUESSES and r[IN, stack[0, j]] == stack[1, j]:
            stack[0, kept] = stack[0, j]
            stack[1, kept] = stack[1, j]
            kept += 1
    return kept


@inner
def pruned(ends: Ints, items: Ints, size: int, due: Ints, does: Ints) -> int:
    """Drop entries of runs that have ended; the new size of the heap."""
    kept = ZERO
    for j in range(size):
        if due[items[j]] == ends[j] and (does[items[j]] == BASE or does[items[j]] == GUESSES):
            kept = push(ends, items, kept, ends[j], items[j])
    return kept
