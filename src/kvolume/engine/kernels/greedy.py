"""Greedy admission in unit rounds, evicting the latest: vLLM's rule, in O(log n) an event.

A running request holds w + t tokens in round t, so B of them need W + B t: the next round out of memory is
(M - W) // B + 1. The need falls only at completions and evictions, so a blocked head stays blocked until then.
Events are admissions, completions, evictions, and arrivals that become the head. Victims come from a stack, completions
from a heap; entries of a stay that has ended are recognised by its last round, which is never the same again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import ZERO, inner, kernel, rule
from kvolume.engine.kernels.state import KEPT, SINCE, UNTIL, WHO, grown
from kvolume.policy import rules

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

takes_oldest = rule(rules.takes_oldest)

# rows of r, per request: LAST round of the present stay (-1: not running), MADE tokens before it, W its offset, START,
# FINISH, EVICTED, STAY its place in the log
LAST, MADE, W, START, FINISH, EVICTED, STAY = range(7)
# rows of q, flags of waiting requests: is it waiting, has it an entry in the heap by key, in the heap by arrival?
WAITS, IN_KEYED, IN_ARRIVED = np.int64(0), np.int64(1), np.int64(2)


@inner
def top(keys: Ints, items: Ints, size: int, q: Flags, has: int) -> int:
    """Drop entries of requests that no longer wait; the new size of the heap."""
    while size > 0 and not q[WAITS, items[0]]:
        q[has, items[0]] = False
        size = pop(keys, items, size)
    return size


@inner
def live(stack: Ints, r: Ints, size: int) -> int:
    """Keep only the entries of stays that go on; how many they are. Rows of stack: request, last round."""
    n = 0
    for j in range(size):
        if r[LAST, stack[0, j]] == stack[1, j]:
            stack[0, n] = stack[0, j]
            stack[1, n] = stack[1, j]
            n += 1
    return n


@kernel
def greedy(
    a: Ints, s: Ints, o: Ints, key: Ints, charge: Floats, m: int, limit: int, keep: bool, share: float,
    r: Ints, q: Flags, progress: Ints,
) -> tuple[Ints, int, bool]:  # fmt: skip
    """Fill r (all -1, from MADE on 0 where counts). The log of stays, its length, and whether everybody finished."""
    n = a.size
    room = 2 * min(n, m) + 64
    keyed, keyed_items, keyed_size = np.empty(n, np.int64), np.empty(n, np.int64), ZERO
    arrived = np.empty(n if share > 0.0 else 1, np.int64)
    arrived_items, arrived_size = np.empty(arrived.size, np.int64), ZERO
    ends, ends_items, ends_size = np.empty(room, np.int64), np.empty(room, np.int64), ZERO
    stack, height = np.empty((2, room), np.int64), ZERO
    log, stays = np.empty((4, n + 64), np.int64), ZERO
    admitted, through_lane = 0.0, 0.0
    running, waiting, nx = ZERO, ZERO, ZERO
    need_w, t = ZERO, ZERO
    while True:
        while ends_size > 0 and (ends[0] < t or r[LAST, ends_items[0]] != ends[0]):  # completions
            c = ends_items[0]
            if r[LAST, c] == ends[0]:
                r[FINISH, c] = ends[0] + 1
                log[UNTIL, r[STAY, c]] = ends[0] + 1
                r[LAST, c] = -1
                running -= 1
                need_w -= r[W, c]
                progress[0] += 1
            ends_size = pop(ends, ends_items, ends_size)
        while nx < n and a[nx] <= t:  # arrivals
            q[WAITS, nx] = q[IN_KEYED, nx] = q[IN_ARRIVED, nx] = True
            keyed_size = push(keyed, keyed_items, keyed_size, key[nx], nx)
            if share > 0.0:
                arrived_size = push(arrived, arrived_items, arrived_size, nx, nx)
            waiting += 1
            nx += 1
        evicted = need_w + running * t > m
        while need_w + running * t > m:  # evictions
            height -= 1
            c = stack[0, height]
            if r[LAST, c] != stack[1, height]:
                continue
            r[MADE, c] = r[MADE, c] + t - log[SINCE, r[STAY, c]] if keep else 0
            log[UNTIL, r[STAY, c]] = t
            r[LAST, c] = -1
            r[EVICTED, c] += 1
            running -= 1
            need_w -= r[W, c]
            q[WAITS, c] = True
            if not q[IN_KEYED, c]:
                q[IN_KEYED, c] = True
                keyed_size = push(keyed, keyed_items, keyed_size, key[c], c)
            if share > 0.0 and not q[IN_ARRIVED, c]:
                q[IN_ARRIVED, c] = True
                arrived_size = push(arrived, arrived_items, arrived_size, c, c)
            waiting += 1
        head = -1
        lane = False
        while waiting > 0:  # admissions
            keyed_size = top(keyed, keyed_items, keyed_size, q, IN_KEYED)
            head = keyed_items[0]
            if share > 0.0:
                arrived_size = top(arrived, arrived_items, arrived_size, q, IN_ARRIVED)
                lane = takes_oldest(charge[arrived_items[0]], through_lane, admitted, share)
                head = arrived_items[0] if lane else head
            if evicted or need_w + running * t + s[head] + r[MADE, head] + 1 > limit:
                break
            q[WAITS, head] = False
            waiting -= 1
            if share > 0.0 and r[EVICTED, head] == 0:
                admitted += charge[head]
                through_lane += charge[head] if lane else 0.0
            if waiting == 0:
                admitted, through_lane = 0.0, 0.0
            if stays == log.shape[1]:
                log = grown(log)
            if height == room:
                height = live(stack, r, height)
            if ends_size == room:
                height = live(stack, r, height)
                ends_size = ZERO
                for j in range(height):
                    ends_size = push(ends, ends_items, ends_size, stack[1, j], stack[0, j])
            r[LAST, head] = t + o[head] - r[MADE, head] - 1
            r[W, head] = s[head] + r[MADE, head] + 1 - t
            r[START, head] = t if r[START, head] < 0 else r[START, head]
            r[STAY, head] = stays
            log[WHO, stays] = head
            log[SINCE, stays] = t
            log[KEPT, stays] = r[MADE, head]
            stays += 1
            running += 1
            need_w += r[W, head]
            ends_size = push(ends, ends_items, ends_size, r[LAST, head], head)
            stack[0, height] = head
            stack[1, height] = r[LAST, head]
            height += 1
        if running == 0 and not evicted:  # nobody runs: wait for an arrival, or end
            if nx == n:
                return log, stays, waiting == 0
            t = max(t, a[nx])
            continue
        if running == 0:
            t += 1
            continue
        while r[LAST, ends_items[0]] != ends[0]:
            ends_size = pop(ends, ends_items, ends_size)
        until = t + 1 if evicted else min(ends[0] + 1, (m - need_w) // running + 1)
        while nx < n and a[nx] < until:  # an arrival is an event only if it becomes the head
            if waiting == 0 or (not lane and key[nx] < key[head]):
                until = max(a[nx], t + 1)
                break
            q[WAITS, nx] = q[IN_KEYED, nx] = q[IN_ARRIVED, nx] = True
            keyed_size = push(keyed, keyed_items, keyed_size, key[nx], nx)
            if share > 0.0:
                arrived_size = push(arrived, arrived_items, arrived_size, nx, nx)
            waiting += 1
            nx += 1
        t = until
