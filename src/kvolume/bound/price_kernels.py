"""Prices for memory, compiled: where they come from, who starts when at these prices, and what that costs exactly.

Round t is [t, t + 1). A request started in round x holds s + 1 + (t - x) tokens in the rounds t = x .. x + o - 1, so
that with `paid[t]` the sum of prices before round t and `moment[t]` that of t * price, its memory costs
(s + 1 - x) (paid[x + o] - paid[x]) + moment[x + o] - moment[x]: O(1) for any start.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import inner, kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BLOCK = 64  # rounds: how far a certificate may leap
FAR = np.int64(2**62)


@kernel
def machine_prices(arrival: Ints, volume: Ints, order: Ints, speed: int, price: Floats) -> None:
    """Fill `price` (zeros) with the dual prices of the machine that serves `speed` tokens a round, smallest first.

    While i is served the price falls by 1/v_i a round; it is 0 where the machine idles, and rises only when a smaller
    request arrives and preempts. Backwards from the end of each busy period, as a request's level is known from its
    completion on.
    """
    n = arrival.size
    rank = np.empty(n, np.int64)
    for k in range(n):
        rank[order[k]] = k
    left = np.empty(n)
    for i in range(n):
        left[i] = volume[i] / speed
    keys, items = np.empty(n, np.int64), np.empty(n, np.int64)
    who, since, until = np.empty(2 * n, np.int64), np.empty(2 * n), np.empty(2 * n)
    queued, stretches, nx = np.int64(0), np.int64(0), np.int64(0)
    now = 0.0
    while nx < n or queued > 0:
        if queued == 0 and now < arrival[nx]:
            now = float(arrival[nx])
        while nx < n and arrival[nx] <= now:
            queued = push(keys, items, queued, rank[nx], nx)
            nx += 1
        i = items[0]
        who[stretches], since[stretches] = i, now
        if nx < n and now + left[i] > arrival[nx]:
            left[i] -= arrival[nx] - now
            now = float(arrival[nx])
        else:
            now += left[i]
            queued = pop(keys, items, queued)
        until[stretches] = now
        stretches += 1
    level = np.full(n, np.nan)
    at = 0.0  # the price at the beginning of the stretch after this one
    for k in range(stretches - 1, -1, -1):
        i, end = who[k], until[k]
        if k + 1 == stretches or since[k + 1] > end:
            at = 0.0
        if np.isnan(level[i]):
            level[i] = at + end / volume[i]
        at = level[i] - since[k] / volume[i]
        for t in range(int(np.ceil(since[k] - 0.5)), min(int(np.ceil(end - 0.5)), price.size)):
            price[t] = max(0.0, level[i] - (t + 0.5) / volume[i])


@inner
def cost(paid: Floats, moment: Floats, s: int, o: int, x: int) -> float:
    """What the memory of a request started in round x costs."""
    return (s + 1 - x) * (paid[x + o] - paid[x]) + moment[x + o] - moment[x]


@kernel
def respond(
    arrival: Ints, s: Ints, o: Ints, paid: Floats, moment: Floats, end: int, fineness: int,
    start: Ints, held: Floats, slope: Floats,
) -> float:  # fmt: skip
    """Let everybody start where latency and price are least, nearly: fill `start` and the tokens `held` in each round.

    Starts are tried every o / `fineness` rounds and then around the best; from round `end` on all prices are 0.
    The sum of the costs is nearly the least, so not a bound.
    """
    for t in range(held.size):
        held[t] = slope[t] = 0.0
    total = 0.0
    for i in range(arrival.size):
        a, prompt, output = arrival[i], s[i], o[i]
        stride = max(1, output // fineness)
        best, where = 1e300, a
        x = a
        while x <= end and x + output - a < best:
            c = x + output - a + cost(paid, moment, prompt, output, x)
            if c < best:
                best, where = c, x
            x += stride
        for x in range(max(a, where - stride + 1), min(end, where + stride)):
            c = x + output - a + cost(paid, moment, prompt, output, x)
            if c < best:
                best, where = c, x
        total += best
        start[i] = where
        if where < end:
            held[where] += prompt
            held[where + output] -= prompt + output
            slope[where] += 1.0
            slope[where + output] -= 1.0
    up = tokens = 0.0
    for t in range(held.size):
        up += slope[t]
        tokens += held[t] + up
        held[t] = tokens
    return total


@inner
def whole_cost(paid: Ints, moment: Ints, s: int, o: int, x: int) -> int:
    """`cost` in integers: sums that wrap around, of which the difference is right."""
    return (s + 1 - x) * (paid[x + o] - paid[x]) + moment[x + o] - moment[x]


@kernel
def least_costs(
    arrival: Ints, s: Ints, o: Ints, price: Ints, paid: Ints, moment: Ints, low: Ints, high: Ints, one: int, end: int,
    start: Ints, least: Ints,
) -> None:  # fmt: skip
    """Fill `least` with the exact least of latency and memory over all starts; `start` has good ones to begin with.

    In units of 1/`one` of a round. From round x on the cost falls by at most `fall` a round over the next BLOCK
    rounds, so rounds in which it cannot fall below the best are leapt over. `low` and `high` are the least and the
    largest price of each block of BLOCK rounds.
    """
    for i in range(arrival.size):
        a, prompt, output = arrival[i], s[i], o[i]
        x = start[i]
        best = (x + output - a) * one
        if x < end:
            best += whole_cost(paid, moment, prompt, output, x)
        x = a
        while x <= end and (x + output - a) * one < best:
            c = (x + output - a) * one + whole_cost(paid, moment, prompt, output, x)
            if c <= best:
                best = c
                x += 1
                continue
            # cost(x+1) - cost(x) = one + (s + o) price[x+o] - (s + 1) price[x] - (paid[x+o] - paid[x+1])
            most = max(high[x // BLOCK], high[x // BLOCK + 1])
            fewest = min(low[(x + output) // BLOCK], low[(x + output) // BLOCK + 1])
            reach = min(x + output + BLOCK, paid.size - 1)
            fall = (prompt + 1) * most + paid[reach] - paid[x + 1] - (prompt + output) * fewest - one
            x += BLOCK if fall <= 0 else min(np.int64(BLOCK), (c - best) // fall + 1)
        least[i] = best
