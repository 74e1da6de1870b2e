"""Search for good schedules, compiled: branch and bound (exact.py) and local search (best_known.py)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.jit import inner, kernel, rule
from kvolume.policy import rules

Ints = npt.NDArray[np.int64]
next_random = rule(rules.next_random)


@inner
def rest_at_least(
    x: int, arrival: Ints, o: Ints, v: Ints, used: Ints, held: Ints, kv_tokens: int, volumes: Ints, ends: Ints
) -> int:
    """Least sum of completions of the requests not yet started, all of which start in round x or later.

    The k-th of them to complete does so no earlier than the k-th smallest of max(x, a) + o, and no earlier than the
    round by which the memory left free has room for the k smallest volumes.
    """
    m = 0
    for i in range(o.size):
        if used[i] == 0:
            volumes[m] = v[i]
            ends[m] = max(x, arrival[i]) + o[i]
            k = m
            while k > 0 and volumes[k - 1] > volumes[k]:
                volumes[k - 1], volumes[k] = volumes[k], volumes[k - 1]
                k -= 1
            k = m
            while k > 0 and ends[k - 1] > ends[k]:
                ends[k - 1], ends[k] = ends[k], ends[k - 1]
                k -= 1
            m += 1
    total = 0
    need = 0
    free = 0
    t = x
    for k in range(m):
        need += volumes[k]
        while free < need:
            t += 1
            free += kv_tokens - (held[t] if t < held.size else 0)
        total += max(t, ends[k])
    return total


@inner
def fits(x: int, s: int, o: int, held: Ints, kv_tokens: int) -> bool:
    """May a request start in round x beside what is held already?"""
    u = o
    while u > 0 and held[x + u] + s + u <= kv_tokens:
        u -= 1
    return u == 0


@inner
def must_move(x: int, arrival: Ints, used: Ints, held: Ints) -> bool:
    """Does everything yet to start wait for nothing? Then no best schedule leaves the next round empty."""
    if held[x + 1] > 0:
        return False
    i = 0
    while i < used.size and (used[i] == 1 or arrival[i] <= x):
        i += 1
    return i == used.size


@kernel
def least_total(
    arrival: Ints, s: Ints, o: Ints, v: Ints, kv_tokens: int, total: int, start: Ints, most_nodes: int
) -> int:
    """Least sum of completions, starting from a schedule `start` of sum `total`, which is overwritten by the best.

    Starts are chosen in the order of time, ties by index. Returns -1 where `most_nodes` were not enough.
    """
    n = o.size
    horizon = int(arrival.max()) + int(o.sum()) + 2
    held = np.zeros(horizon + int(o.max()) + 2, np.int64)
    used = np.zeros(n, np.int64)
    chosen = np.zeros(n + 1, np.int64)
    begun = np.zeros(n + 1, np.int64)
    volumes = np.zeros(n, np.int64)
    ends = np.zeros(n, np.int64)
    done = 0  # sum of completions of those placed
    k = 0
    x = int(arrival.min())
    i = 0
    nodes = 0
    full = False
    while True:
        forward = not full
        if forward and i == n:
            forward = not must_move(x, arrival, used, held)
            x += 1
            i = 0
            nodes += 1
            if nodes > most_nodes:
                return -1
            if forward:
                forward = done + rest_at_least(x, arrival, o, v, used, held, kv_tokens, volumes, ends) < total
        if not forward:  # take back the last one placed, and go on after it
            if k == 0:
                return total
            full = False
            k -= 1
            i = chosen[k]
            x = begun[k]
            used[i] = 0
            done -= x + o[i]
            for u in range(1, o[i] + 1):
                held[x + u] -= s[i] + u
            i += 1
            continue
        twin = i > 0 and used[i - 1] == 0 and arrival[i] == arrival[i - 1] and s[i] == s[i - 1] and o[i] == o[i - 1]
        if used[i] == 1 or twin or arrival[i] > x or not fits(x, s[i], o[i], held, kv_tokens):
            i += 1
            continue
        used[i] = 1
        chosen[k] = i
        begun[k] = x
        done += x + o[i]
        for u in range(1, o[i] + 1):
            held[x + u] += s[i] + u
        k += 1
        if k == n and done < total:
            total = done
            for j in range(n):
                start[chosen[j]] = begun[j]
        full = k == n
        i += 1


@inner
def list_schedule(order: Ints, arrival: Ints, s: Ints, o: Ints, kv_tokens: int, held: Ints, start: Ints) -> int:
    """Sum of completions where each, in this order, starts in the first round in which it fits beside those before."""
    for t in range(held.size):
        held[t] = 0
    total = 0
    for i in order:
        x = arrival[i]
        while not fits(x, s[i], o[i], held, kv_tokens):
            x += 1
        start[i] = x
        total += x + o[i]
        for u in range(1, o[i] + 1):
            held[x + u] += s[i] + u
    return total


@inner
def move(order: Ints, i: int, j: int) -> None:
    """Take the i-th out and put it in as the j-th."""
    item = order[i]
    step = 1 if j > i else -1
    while i != j:
        order[i] = order[i + step]
        i += step
    order[j] = item


@kernel
def improve(
    order: Ints, arrival: Ints, s: Ints, o: Ints, kv_tokens: int, steps: int, seed: int, best: Ints, reach: int
) -> int:
    """Local search over orders: one request moves elsewhere, kept where the sum of completions is no larger.

    Changes `order`; the starts of the best schedule go to `best`, and its sum of completions is returned. Moves go at
    most `reach` places.
    """
    n = order.size
    held = np.zeros(int(arrival.max()) + int(o.sum()) + int(o.max()) + 2, np.int64)
    start = np.zeros(n, np.int64)
    total = list_schedule(order, arrival, s, o, kv_tokens, held, best)
    random = seed
    for _ in range(steps):
        random = next_random(random)
        i = random % n
        random = next_random(random)
        j = min(n - 1, max(0, i + random % (2 * reach + 1) - reach))
        move(order, i, j)
        found = list_schedule(order, arrival, s, o, kv_tokens, held, start)
        if found > total:
            move(order, j, i)
        elif found < total:
            for k in range(n):
                best[k] = start[k]
        total = min(total, found)
    return total
