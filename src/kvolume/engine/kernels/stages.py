"""WAIT and Nested WAIT, compiled (policy/wait.py).

All who are inside a group move together, so a group has a clock of its own: the rounds in which it ran. A request
inside leaves (completes, or goes to the entry of the next segment) at a known time of that clock and stands in a list
for that time, so that it is found without a search and taken out in O(1) when it is evicted. The entries of segments
are heaps in order of admission.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop
from kvolume.engine.kernels.jit import ZERO, kernel
from kvolume.engine.kernels.machine import (
    EVICTED,
    FINISH,
    MADE,
    NEXT,
    NOW,
    STAY,
    STAYS,
    STRETCHES,
    TICK,
    enter,
    idle,
    leave,
    roomy,
    step_with,
    up_to_arrival,
)  # fmt: skip
from kvolume.engine.kernels.phases import append
from kvolume.engine.kernels.stages_state import (
    BOUNDARY,
    CLOCK,
    COUNT,
    GROUP,
    INSIDE,
    MADE_IN,
    OUTSIDE,
    PARKED,
    PLACE,
    RUNS,
    TOKENS,
    WAITING,
    go_in,
    go_out,
    made,
    next_at_entry,
    quiet,
    segment_of,
    stand,
    waiting_in,
)  # fmt: skip
from kvolume.engine.kernels.state import A, Costs, O, S

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@kernel
def stages(
    p: Ints, of: Ints, bounds: Ints, thresholds: Ints, block: int, m: int, waits: bool, costs: Costs,
    r: Ints, z: Ints, f: Floats, new: Ints, progress: Ints,
) -> tuple[Ints, Ints, Ints, int, bool]:  # fmt: skip
    """Fill r, z and f. The logs of stays, stretches and KV tokens held, length of the last, and was anybody paused?"""
    n, groups, nested = p.shape[1], thresholds.shape[1], bounds.size > 0
    log, stretches = np.empty((4, n + 64), np.int64), np.empty((2, 64), np.int64)
    held_log, held_size, paused = np.empty((3, 64), np.int64), ZERO, False
    g, q = np.zeros((7, groups), np.int64), np.zeros((6, n), np.int64)
    longest = ZERO
    for c in range(n):
        longest = max(longest, p[O, c])
    leaves = np.full((groups, longest + 2), -1, np.int64)
    lists, link = np.full((2, groups), -1, np.int64), np.full(n, -1, np.int64)
    stays, items = np.empty((groups if nested else 1, n), np.int64), np.empty((groups if nested else 1, n), np.int64)
    sizes = np.zeros(groups, np.int64)
    stack, height = np.empty((2, 2 * n + 64), np.int64), ZERO  # in order of admission: request, stay
    here, closed = ZERO, False  # in the cache; nothing more arrives
    alone = np.empty(n, np.int64)
    while True:
        for k in range(groups):  # who leaves a group that ran
            if g[RUNS, k] == 0:
                continue
            at = g[CLOCK, k] % leaves.shape[1]
            while leaves[k, at] >= 0:
                c = leaves[k, at]
                tokens = made(g, q, c)
                go_out(p, g, q, bounds, leaves, c)
                if tokens == p[O, c]:
                    leave(p, r, z, log, c)
                    r[FINISH, c] = z[TICK]
                    here -= 1
                    progress[0] += 1
                else:
                    stand(p, r, g, q, stays, items, sizes, c, k + 1, tokens)
            g[RUNS, k] = 0
        while z[NEXT] < n and p[A, z[NEXT]] <= z[TICK]:  # arrivals
            c = z[NEXT]
            append(lists, link, ZERO, of[c], c)
            g[WAITING, of[c]] += 1
            z[NEXT] += 1
        row = min(max(z[NEXT] - 1, 0) // block, thresholds.shape[0] - 1)
        everybody = closed or not waits
        prefix = True
        need, batch, working, entered = ZERO, ZERO, ZERO, ZERO
        for k in range(groups):  # who may run, and what all need for that
            if everybody:
                runs = True
            else:
                runs = (g[BOUNDARY, k] if nested and k > 0 else g[WAITING, k]) >= thresholds[row, k]
                if nested:
                    prefix = prefix and runs
                    runs = prefix
            entering = ZERO
            if runs:
                g[RUNS, k] = 1
                entering = min(g[BOUNDARY, k], thresholds[row, k])
                tokens = g[TOKENS, k] + g[COUNT, k] * (g[CLOCK, k] + 1)
                need += tokens + g[PARKED, k] + entering
                batch += tokens
                working += g[COUNT, k] + entering
            else:
                need += g[TOKENS, k] + g[COUNT, k] * g[CLOCK, k] + g[PARKED, k]
            entered += entering
            for _ in range(entering):
                sizes[k] = next_at_entry(r, q, stays, items, sizes[k], k)
                c = items[k, 0]
                sizes[k] = pop(stays[k], items[k], sizes[k])
                go_out(p, g, q, bounds, leaves, c)
                go_in(p, g, q, bounds, leaves, c, k, q[MADE_IN, c])
                batch += p[S, c] + q[MADE_IN, c] + 1
        overflow = need > m
        started, misfit, lone = ZERO, False, ZERO
        if not overflow:
            for k in range(groups):
                if g[RUNS, k] == 0 or (nested and k > 0):
                    continue
                for _ in range(min(thresholds[row, k], g[WAITING, k])):
                    c = lists[0, k]
                    if need + p[S, c] + r[MADE, c] + 1 > m:
                        misfit = True
                        break
                    lists[0, k] = link[c]
                    if link[c] < 0:
                        lists[1, k] = -1
                    g[WAITING, k] -= 1
                    log = roomy(log, z[STAYS])
                    enter(p, r, z, new, log, c)
                    group = segment_of(bounds, r[MADE, c]) if nested else k
                    if g[RUNS, group] == 1:
                        go_in(p, g, q, bounds, leaves, c, group, r[MADE, c])
                    else:  # back from an eviction, into a segment that is paused: it alone moves, this once
                        alone[lone] = c
                        lone += 1
                    stack[0, height] = c
                    stack[1, height] = r[STAY, c]
                    height += 1
                    need += p[S, c] + r[MADE, c] + 1
                    batch += p[S, c] + r[MADE, c] + 1
                    here += 1
                    started += 1
                if misfit:
                    break
        stuck = misfit and started == 0 and working == 0
        if stuck:  # nobody can move: everybody in the cache does
            need, batch, working = ZERO, ZERO, here
            for k in range(groups):
                g[RUNS, k] = 1
                while g[BOUNDARY, k] > 0:
                    sizes[k] = next_at_entry(r, q, stays, items, sizes[k], k)
                    c = items[k, 0]
                    sizes[k] = pop(stays[k], items[k], sizes[k])
                    go_out(p, g, q, bounds, leaves, c)
                    go_in(p, g, q, bounds, leaves, c, k, q[MADE_IN, c])
                batch += g[TOKENS, k] + g[COUNT, k] * (g[CLOCK, k] + 1)
            need = batch
            overflow = need > m
        evicted = overflow
        while need > m:  # the latest leave
            height -= 1
            c = stack[0, height]
            if q[PLACE, c] == OUTSIDE or r[STAY, c] != stack[1, height]:
                continue
            tokens, k = made(g, q, c), q[GROUP, c]
            moves = q[PLACE, c] == INSIDE and g[RUNS, k] == 1  # of segments that run, all inside do
            need -= p[S, c] + tokens
            if moves:
                need -= 1
                batch -= p[S, c] + tokens + 1
                working -= 1
            go_out(p, g, q, bounds, leaves, c)
            leave(p, r, z, log, c)
            r[MADE, c] = tokens
            r[EVICTED, c] += 1
            here -= 1
            append(lists, link, ZERO, of[c], c)
            g[WAITING, of[c]] += 1
        if working + started == 0 and not evicted:  # nobody works: wait for company
            for k in range(groups):
                g[RUNS, k] = 0
            if z[NEXT] < n:
                paused = paused or here > 0
                held_log = roomy(held_log, held_size)
                held_log[0, held_size], held_log[1, held_size], held_log[2, held_size] = z[NOW], need, 0
                held_size += 1
                idle(p, z, costs)
            elif not closed and here + waiting_in(g) > 0:
                closed = True
            else:
                return log, stretches, held_log, held_size, paused
            continue
        paused = paused or working + started < here
        slope = working + started
        held_log = roomy(held_log, held_size)
        level = need - slope * z[NOW]
        if held_size == 0 or held_log[2, held_size - 1] != slope or held_log[1, held_size - 1] != level:
            held_log[0, held_size], held_log[1, held_size], held_log[2, held_size] = z[NOW], level, slope
            held_size += 1
        rest = ZERO + 1
        if started + entered == 0 and not evicted and not stuck:
            rest = up_to_arrival(p, z, costs, slope, batch, quiet(g, leaves, (m - need) // slope + 1))
        stretches = roomy(stretches, z[STRETCHES])
        step_with(r, z, f, new, costs, stretches, slope, batch, need, rest)
        for k in range(groups):
            g[CLOCK, k] += g[RUNS, k] * rest
        for j in range(lone):
            c = alone[j]
            k, tokens = segment_of(bounds, r[MADE, c]), r[MADE, c] + 1
            if tokens == p[O, c]:
                leave(p, r, z, log, c)
                r[FINISH, c] = z[TICK]
                here -= 1
                progress[0] += 1
            elif k + 1 < bounds.size and tokens == bounds[k]:
                stand(p, r, g, q, stays, items, sizes, c, k + 1, tokens)
            else:
                go_in(p, g, q, bounds, leaves, c, k, tokens)
        if height + n > stack.shape[1]:
            kept = ZERO
            for j in range(height):
                if q[PLACE, stack[0, j]] != OUTSIDE and r[STAY, stack[0, j]] == stack[1, j]:
                    stack[0, kept], stack[1, kept] = stack[0, j], stack[1, j]
                    kept += 1
            height = kept
