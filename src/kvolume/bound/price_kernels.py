"""Prices for memory, compiled: where they come from, who starts when at these prices, and what that costs exactly.

Round t is [t, t + 1). A request started in round x holds s + 1 + (t - x) tokens in the rounds t = x .. x + o - 1, so
that with `paid[t]` the sum of prices before round t and `moment[t]` that of t * price, its memory costs
(s + 1 - x) (paid[x + o] - paid[x]) + moment[x + o] - moment[x]: O(1) for any start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import ZERO, inner, kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Windows of 2^6, 2^9 and 2^12 rounds, of whose prices the least and the largest are known: rows of `low` and `high`.
FIRST_SHIFT, STEP_SHIFT, LEVELS = 6, 3, 3
WIDEST = 1 << (FIRST_SHIFT + STEP_SHIFT * (LEVELS - 1))


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
    queued, stretches, nx = ZERO, ZERO, ZERO
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
def cost(paid: npt.NDArray[Any], moment: npt.NDArray[Any], s: int, o: int, x: int) -> Any:
    """What the memory of a request started in round x costs. Integers may wrap around: the difference is right."""
    return (s + 1 - x) * (paid[x + o] - paid[x]) + moment[x + o] - moment[x]


@inner
def leap(
    paid: npt.NDArray[Any], low: npt.NDArray[Any], high: npt.NDArray[Any], one: Any, s: int, o: int, x: int, gap: Any
) -> int:  # fmt: skip
    """Rounds after x within which latency and price of a start stay at least `gap` below those of x, or less far.

    From a round to the next they change by one + (s + o) price[x + o] - (s + 1) price[x] - (paid[x + o] - paid[x + 1]),
    so that over a window they fall by at most `fall` a round. Wide windows first: far from the best they do.
    """
    for level in range(LEVELS - 1, -1, -1):
        shift = FIRST_SHIFT + STEP_SHIFT * level
        width = 1 << shift
        here, there = x >> shift, (x + o) >> shift
        most = max(high[level, here], high[level, here + 1])
        least = min(low[level, there], low[level, there + 1])
        if o <= width:
            span = (o - 1) * max(most, max(high[level, there], high[level, there + 1]))
        else:
            span = paid[min(x + o + width, paid.size - 1)] - paid[x + 1]
        fall = (s + 1) * most + span - (s + o) * least - one
        rounds = width if gap >= fall * width else int(gap // fall) + 1
        if level == 0 or rounds > width >> STEP_SHIFT:
            return rounds
    return 1


@kernel
def respond(
    arrival: Ints, s: Ints, o: Ints, paid: Floats, moment: Floats, low: Floats, high: Floats, end: int, fineness: int,
    start: Ints, held: Floats, slope: Floats,
) -> tuple[float, int]:  # fmt: skip
    """Let everybody start where latency and price are least, nearly: `start`, and the tokens `held` in each round.

    `start` has good ones to begin with, so that far from them the search leaps. Starts are tried every
    o / `fineness` rounds and then around the best; from round `end` on all prices are 0.
    The sum of the costs, nearly the least and so not a bound, and how many starts were tried.
    """
    for t in range(held.size):
        held[t] = slope[t] = 0.0
    total = 0.0
    tried = ZERO
    for i in range(arrival.size):
        a, prompt, output = arrival[i], s[i], o[i]
        stride = max(1, output // fineness)
        where = start[i]
        best = where + output - a + (cost(paid, moment, prompt, output, where) if where < end else 0.0)
        x = a
        while x <= end and x + output - a < best:
            c = x + output - a + cost(paid, moment, prompt, output, x)
            tried += 1
            if c < best:
                best, where = c, x
            x += max(stride, leap(paid, low, high, 1.0, prompt, output, x, c - best))
        for x in range(max(a, where - stride + 1), min(end, where + stride)):
            c = x + output - a + cost(paid, moment, prompt, output, x)
            if c < best:
                best, where = c, x
        tried += 2 * stride
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
    return total, tried


@kernel
def least_costs(
    arrival: Ints, s: Ints, o: Ints, paid: Ints, moment: Ints, low: Ints, high: Ints, one: int, end: int,
    start: Ints, least: Ints,
) -> None:  # fmt: skip
    """Fill `least` with the exact least of latency and memory over all starts; `start` has good ones to begin with.

    In units of 1/`one` of a round. Rounds in which the cost cannot be below the best so far are leapt over.
    """
    for i in range(arrival.size):
        a, prompt, output = arrival[i], s[i], o[i]
        x = start[i]
        best = (x + output - a) * one
        if x < end:
            best += cost(paid, moment, prompt, output, x)
        x = a
        while x <= end and (x + output - a) * one < best:
            c = (x + output - a) * one + cost(paid, moment, prompt, output, x)
            best = min(best, c)
            x += leap(paid, low, high, one, prompt, output, x, c - best)
        least[i] = best
