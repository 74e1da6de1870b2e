"""What the general kernel knows: the problem, the rules, the costs, the state; and arithmetic on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.clock import prefill_ticks as plain_prefill_ticks
from kvolume.engine.kernels.bitset import empty_sets
from kvolume.engine.kernels.jit import allocating, inner, rule

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

LOOK_AHEAD, GREEDY, PEAK = range(3)  # protected is greedy with a lower limit
LATEST, LARGEST, ALL, RANDOM = range(4)
FAR = np.int64(1) << 60

prefill_ticks = rule(plain_prefill_ticks)


class Rules(NamedTuple):
    """The three answers, as numbers."""

    m: int  # budget
    admission: int
    limit: int  # of greedy admission
    eviction: int
    keep: bool
    beta: float
    patience: int
    backfill: int
    share: float


class Costs(NamedTuple):
    """A clock, in ticks."""

    unit: bool
    base: int
    request: int
    kv_token: int
    prefill_token: int
    prefill_pair: int  # thousandths of a tick


# Plain arrays with named rows, not objects: passing an object of arrays costs more than an event does.

# rows of p, the problem, one column for each request in order of arrival. RANK is its place in the policy's order, BY
# the inverse of RANK, MOST the cap on raised guesses.
A, S, O, RANK, BY, MOST = range(6)

# rows of r, the state of each request: START, FIRST and FINISH in ticks; JOINED and START_ROUND in rounds; GUESS the
# present guess; MADE the output tokens made before the present stay; BEGIN its first round; STAY its place in the log.
START, FIRST, FINISH, JOINED, START_ROUND, EVICTED, GUESS, MADE, BEGIN, STAY = range(10)

# entries of z, the state of the run: NOW the next round, TICK when it begins, NEXT the next to arrive, SIZE the number
# of running requests; round t needs NEED_W + SIZE * t tokens; RESERVED the sum of predicted peaks; PREFILL prompt
# tokens with PAIRS of attention and PREFILLING requests that the coming round prefills; FIRST_DUE the smallest DUE.
(NOW, TICK, NEXT, WAITING, BARREN, SIZE, NEED_W, RESERVED, RNG, STAYS, STRETCHES, PREFILL, PREFILLING,
 FIRST_DUE, PAIRS) = range(15)  # fmt: skip

# entries of f, the same in floats
KV_TICKS, ADMITTED, THROUGH_LANE = range(3)

# rows of v, the running requests: RUN in order of admission; DUE, the round at whose beginning each has completed or
# outgrown its guess; E ascending and W, their profile as predicted (see profile.py).
RUN, DUE, E, W = range(4)

# rows of the log of stays in the cache
WHO, SINCE, UNTIL, KEPT = range(4)

# the two sets of waiting requests: by rank in the policy's order, and by arrival
BY_RANK, BY_ARRIVAL = np.int64(0), np.int64(1)


def fresh(n: int, guess: Ints, m: int, random: int) -> tuple[Ints, Ints, Floats, Ints, Words, Words]:
    """r, z, f, v and the sets of waiting requests, before the first round. Untouched memory costs nothing."""
    r = np.full((10, n), -1, np.int64)
    r[EVICTED:] = 0
    r[GUESS] = guess
    z = np.zeros(16, np.int64)
    z[RNG] = random
    z[FIRST_DUE] = FAR
    v = np.empty((4, min(n, m) + 1), np.int64)
    return r, z, np.zeros(4), v, *empty_sets(2, n)


@inner
def prefilled(tokens: int, pairs: int, c: Costs) -> int:
    """Ticks that the prefills of a round add to it."""
    return prefill_ticks(tokens, pairs, c.prefill_token, c.prefill_pair)


@inner
def put(v: Ints, size: int, last: int, offset: int) -> None:
    """Insert into a sorted profile of `size`; the caller's size grows by one."""
    p = size
    while p > 0 and v[E, p - 1] > last:
        v[E, p] = v[E, p - 1]
        v[W, p] = v[W, p - 1]
        p -= 1
    v[E, p] = last
    v[W, p] = offset


@inner
def take(v: Ints, size: int, last: int, offset: int) -> None:
    """Remove one entry (last, offset); the caller's size falls by one."""
    p = 0
    while v[E, p] != last or v[W, p] != offset:
        p += 1
    for i in range(p, size - 1):
        v[E, i] = v[E, i + 1]
        v[W, i] = v[W, i + 1]


@inner
def earliest(v: Ints, size: int, s: int, o: int, m: int, now: int) -> int:
    """First round >= now in which (s, o) may start beside requests with last rounds v[E] (ascending) and offsets v[W].

    The pass of profile.flat_earliest, but over predictions: what runs may overrun m by itself, and then nobody
    starts before the last such round is past. FAR cannot come out, since s + o <= m.
    """
    t = now
    k = 0
    left = np.int64(0)
    for i in range(size - 1, -1, -1):
        left += v[W, i]
        if left + (size - i) * v[E, i] > m and (i == 0 or v[E, i - 1] < v[E, i]):
            t = max(t, v[E, i] + 1)
    while True:
        while k < size and v[E, k] <= t + o - 1:
            lifted = left + (size - k + 1) * v[E, k] + s + 1 - m
            if lifted > t:
                t = min(lifted, v[E, k] + 1)
            left -= v[W, k]
            k += 1
        x = t + o - 1
        h = k
        tail = left
        while h > 0 and v[E, h - 1] >= x:
            h -= 1
            tail += v[W, h]
        if tail + (size - h) * x + s + o <= m:
            return t
        if h == size:
            return FAR
        t = v[E, h] - o + 2


@inner
def duration(k: int, b: int, held: int, c: Costs) -> int:
    """Ticks of k rounds of an unchanged batch of b requests that holds `held` tokens in the first of them."""
    return k * (c.base + c.request * b) + c.kv_token * (k * held + b * (k * (k - 1) // 2))


@inner
def rounds_until(gap: int, b: int, held: int, c: Costs) -> int:
    """Fewest rounds k >= 1 that last at least `gap` ticks: the root of a quadratic, put right in integers."""
    square = 0.5 * c.kv_token * b
    linear = c.base + c.request * b + c.kv_token * (held - 0.5 * b)
    if square == 0.0:
        k = np.int64(gap / linear)
    else:
        k = np.int64((np.sqrt(linear * linear + 4.0 * square * gap) - linear) / (2.0 * square))
    k = max(k, 1)
    while k > 1 and duration(k - 1, b, held, c) >= gap:
        k -= 1
    while duration(k, b, held, c) < gap:
        k += 1
    return k


@inner
def kv_integral(k: int, b: int, held: int, took: int, c: Costs) -> float:
    """Token-ticks held over k rounds of an unchanged batch that last `took` ticks."""
    if k == 1:
        return float(held) * took
    fixed = float(c.base + c.request * b)
    h, x, q = float(held), float(b), float(k)
    tokens = q * h + x * (q * (q - 1) / 2)
    squares = q * h * h + h * x * q * (q - 1) + x * x * (q - 1) * q * (2 * q - 1) / 6
    return fixed * tokens + c.kv_token * squares


@allocating
def grown(log: Ints) -> Ints:
    """The same log with twice the room."""
    bigger = np.empty((log.shape[0], 2 * log.shape[1]), np.int64)
    for i in range(log.shape[0]):  # loops: an assignment of slices would take longest of all to compile
        for j in range(log.shape[1]):
            bigger[i, j] = log[i, j]
    return bigger
