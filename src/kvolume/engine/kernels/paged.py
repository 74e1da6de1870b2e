"""Blocks of KV tokens: what a stretch of decode steps takes of them, and look-ahead in blocks.

A request that holds w + x tokens in step x takes a new block whenever w + x - 1 is a multiple of the block size b.
So it is enough to count the running requests by w mod b: what a step needs is one counter, whatever the batch, and
b steps of an unchanged batch need exactly one block for each request.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.jit import inner
from kvolume.engine.kernels.state import FAR, E, W

Ints = npt.NDArray[np.int64]


@inner
def blocks(tokens: int, b: int) -> int:
    """Blocks that hold so many tokens."""
    return (tokens + b - 1) // b


@inner
def needed(count: Ints, step: int, b: int) -> int:
    """New blocks in one step; count[i] decoding requests had i tokens (mod b) computed before step 0."""
    return count[(-step) % b]


@inner
def steps_that_fit(count: Ints, step: int, b: int, batch: int, free: int) -> int:
    """How many steps, from `step` on, find the blocks that they need: whole periods, then at most b steps."""
    periods = free // batch
    left = free - periods * batch
    for j in range(b):
        left -= count[(-(step + j)) % b]
        if left < 0:
            return periods * b + j
    return periods * b + b


@inner
def needed_over(count: Ints, step: int, steps: int, b: int, batch: int) -> int:
    """New blocks in so many steps from `step` on."""
    total = steps // b * batch
    for j in range(steps % b):
        total += count[(-(step + j)) % b]
    return total


@inner
def _held(rest: Ints, whole: int, size: int, x: int, b: int) -> int:
    """Blocks held in step x by `size` requests with residues counted in `rest` and whole blocks summed in `whole`."""
    part = x % b
    over = 0
    for i in range(b - part, b):
        over += rest[i]
    return whole + size * (x // b) + over


@inner
def earliest_in_blocks(v: Ints, size: int, rest: Ints, b: int, s: int, o: int, m: int, now: int) -> int:
    """First step >= now in which (s, o) may start beside `size` requests with last steps v[E] and offsets v[W].

    The pass of `state.earliest` with holdings in whole blocks: a request of offset w holds (w + x + b - 1) // b
    blocks in step x. Suffix sums in tokens bound those in blocks from both sides; only between the bounds the
    blocks are counted. `rest` has room for b counters, m is a multiple of b.
    """
    t = now
    for i in range(b):
        rest[i] = 0
    whole = 0
    tokens = 0
    n = 0
    for i in range(size - 1, -1, -1):
        n += 1
        tokens += v[W, i]
        u = v[W, i] + b - 1
        whole += u // b
        rest[u % b] += 1
        last_of_ties = i == 0 or v[E, i - 1] < v[E, i]
        if last_of_ties and tokens + n * (v[E, i] + b - 1) > m and _held(rest, whole, n, v[E, i], b) * b > m:
            t = max(t, v[E, i] + 1)
    k = 0
    while True:
        while k < size and v[E, k] <= t + o - 1:
            x = v[E, k]
            if tokens + n * (x + b - 1) + s + 1 + x - m > t:  # else even rounded up it lifts nothing
                lifted = s + 1 + x - (m - b * _held(rest, whole, n, x, b))
                if lifted > t:
                    t = min(lifted, x + 1)
            tokens -= v[W, k]
            u = v[W, k] + b - 1
            whole -= u // b
            rest[u % b] -= 1
            n -= 1
            k += 1
        x = t + o - 1
        back = k  # the pass may have gone beyond completions that tie with x
        while k > 0 and v[E, k - 1] >= x:
            k -= 1
            tokens += v[W, k]
            u = v[W, k] + b - 1
            whole += u // b
            rest[u % b] += 1
            n += 1
        if _held(rest, whole, n, x, b) + blocks(s + o, b) <= m // b:
            return t
        if k == size:
            return FAR
        t = v[E, k] - o + 2
        while k < back:
            tokens -= v[W, k]
            u = v[W, k] + b - 1
            whole -= u // b
            rest[u % b] -= 1
            n -= 1
            k += 1
