r"""The price bound: a price on every token of memory in every round, for schedules that interrupt nobody.

Let a token of memory cost lam(t) >= 0 in round t, whatever these prices are. A request that starts in round x pays its
latency and its memory; whoever may choose freely pays at least

    c_i = min over x >= a_i of  x + o_i - a_i + sum_{u=1..o_i} (s_i + u) lam(x + u - 1).

A schedule never holds more than M, so the memory of all costs at most M * sum lam, and OPT >= sum_i c_i - M sum lam
(docs/bounds.md). That is the Lagrangian dual of the time-indexed program, so no prices beat its linear relaxation;
good ones come near it, at any size. They start as the dual prices of the single machine of the mean-busy-time bound,
smallest volume first, which fall by 1/v in each round that serves volume v; then they rise where more than M is asked
for and fall where less is (mirror ascent with momentum). The value at the end is computed in integers. (ours)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.geometry import peak, volume

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STEPS = 100
MOST_TRIED = 1_000_000_000  # starts that are tried over all steps, about: under a minute
MOST_ROUNDS = 1 << 22  # a longer log is cut into pieces: half a GB of prices and their sums
FINENESS = 8  # starts that are tried per length of a request
RATE, MOMENTUM, SHRINK = 0.03, 0.9, 0.7
PATIENCE = 3  # steps without progress before the rate shrinks
WINDOW = 50  # what is asked for is averaged over the mean output over this
MOST_CHANGE = 0.5  # of the logarithm of a price in one step
FLOOR = 0.01  # a price of 0 rises as if it were this part of the mean


Sums = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


class Answer(NamedTuple):
    """What requests choose at given prices: the dual value, nearly; their starts; tokens asked for in each round."""

    value: float
    start: Ints
    held: Floats
    tried: int


def price_bound(arrival: Ints, s: Ints, o: Ints, kv_tokens: int, steps: int = STEPS) -> int:
    """Lower bound on the sum of latencies, in rounds, of every schedule that interrupts nobody. `arrival` ascending.

    With `steps` = 0 the prices of the single machine, as they are.
    """
    arrival = arrival - arrival[0]
    rounds = int(arrival[-1] + volume(s, o).sum() // kv_tokens + 3)  # then the single machine is idle
    if rounds > MOST_ROUNDS and arrival.size > 1:  # to leave others out only helps: bounds of parts add up
        h = arrival.size // 2
        return sum(price_bound(arrival[p], s[p], o[p], kv_tokens, steps) for p in (slice(h), slice(h, None)))
    price = np.zeros(rounds + int(o.max()))
    _fill_from_machine(price, arrival, s, o, kv_tokens)
    price, start = _ascend(price, arrival, s, o, kv_tokens, steps)
    return max(dual_value(price, arrival, s, o, kv_tokens, start), int(o.sum()))


def dual_value(price: Floats, arrival: Ints, s: Ints, o: Ints, kv_tokens: int, start: Ints) -> int:
    """The bound that these prices give, whatever they are: exact in integers, rounded up to a whole round.

    `price` per token, of rounds 0, 1, ...; later rounds are free. `start`: good starts, to begin the search with.
    """
    from kvolume.bound.price_kernels import WIDEST, least_costs

    tokens = float(volume(s, o).max()) + 2 * WIDEST * float(peak(s, o).max())  # that a sum of prices is taken over
    most = price.size + float(o.max()) + 2 * float(price.max()) * tokens
    one = 1 << min(40, max(0, math.floor(61 - math.log2(most))))  # so that nothing overflows
    whole = np.floor(price * one).astype(np.int64)
    sums = _sums(whole, price.size + int(o.max()))  # may wrap around; their differences are right
    least = np.empty_like(arrival)
    begin = np.clip(start, arrival, None)
    least_costs(arrival, s, o, *sums, one, price.size, begin, least)
    return -((kv_tokens * _total(whole) - _total(least)) // one)


def _fill_from_machine(price: Floats, arrival: Ints, s: Ints, o: Ints, kv_tokens: int) -> None:
    from kvolume.bound.price_kernels import machine_prices

    v = volume(s, o)
    machine_prices(arrival, v, np.argsort(v, kind="stable"), kv_tokens, price)


def _ascend(price: Floats, arrival: Ints, s: Ints, o: Ints, kv_tokens: int, steps: int) -> tuple[Floats, Ints]:
    """Better prices, and what requests choose then. Steps that go wrong are taken back."""
    window = max(1, int(o.mean()) // WINDOW)
    floor = FLOOR * float(price.mean())
    rate, idle, speed = RATE, 0, np.zeros_like(price)
    answer = best = _respond(price, arrival, s, o, kv_tokens, arrival)
    best_price = price
    for _ in range(min(steps, MOST_TRIED // max(1, best.tried))):
        excess = answer.held[: price.size] / kv_tokens - 1
        speed = MOMENTUM * speed + _smooth(np.where((price > 0) | (excess > 0), excess, 0.0), window)
        change = np.clip(rate * speed, -MOST_CHANGE, MOST_CHANGE)
        price = price * np.exp(change) + floor * np.maximum(change, 0.0)
        answer = _respond(price, arrival, s, o, kv_tokens, answer.start)
        idle = 0 if answer.value > best.value * (1 + 1e-6) else idle + 1
        if answer.value > best.value:
            best, best_price = answer, price
        if idle == PATIENCE:
            rate, idle, price, answer = rate * SHRINK, 0, best_price, best
            speed = np.zeros_like(price)
    return best_price, best.start


def _respond(price: Floats, arrival: Ints, s: Ints, o: Ints, kv_tokens: int, near: Ints) -> Answer:
    from kvolume.bound.price_kernels import respond

    start, held = near.copy(), np.empty(price.size + int(o.max()) + 1)
    sums = _sums(price, held.size)
    total, tried = respond(arrival, s, o, *sums, price.size, FINENESS, start, held, np.empty_like(held))
    return Answer(total - kv_tokens * float(price.sum()), start, held, int(tried))


def _sums(price: npt.NDArray[Any], size: int) -> Sums:
    """What the kernels read off prices; after the end of `price` all is free.

    Sums of the prices, and of round times price, before each round 0..size; then the least and the largest price of
    each window of three widths.
    """
    from kvolume.bound.price_kernels import FIRST_SHIFT, LEVELS, STEP_SHIFT, WIDEST

    n = price.size
    padded = np.zeros(size // WIDEST * WIDEST + 3 * WIDEST, price.dtype)
    padded[:n] = price
    paid, moment = np.zeros(padded.size + 1, price.dtype), np.zeros(padded.size + 1, price.dtype)
    np.cumsum(padded, out=paid[1:])
    np.cumsum(padded * np.arange(padded.size), out=moment[1:])
    low, high = (np.zeros((LEVELS, padded.size >> FIRST_SHIFT), price.dtype) for _ in range(2))
    for level in range(LEVELS):
        windows = padded.reshape(-1, 1 << (FIRST_SHIFT + STEP_SHIFT * level))
        low[level, : len(windows)], high[level, : len(windows)] = windows.min(axis=1), windows.max(axis=1)
    return paid, moment, low, high


def _smooth(x: Floats, window: int) -> Floats:
    """Mean over `window` neighbours on either side."""
    upto = np.concatenate(([0.0], np.cumsum(x)))
    at = np.arange(x.size)
    low, high = np.maximum(at - window, 0), np.minimum(at + window + 1, x.size)
    return np.asarray((upto[high] - upto[low]) / (high - low))


def _total(x: Ints) -> int:
    """Exact sum of integers that int64 cannot hold."""
    return (int((x >> 32).sum()) << 32) + int((x & 0xFFFFFFFF).sum())
