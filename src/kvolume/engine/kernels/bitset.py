"""A set of small integers as a three-level bitset: add, remove, first and next in a few word operations.

Waiting requests are kept by their rank in the policy's order, so that a queue can be walked in order, which
backfilling needs and a heap cannot give.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.jit import kernel

Words = npt.NDArray[np.uint64]

ONE = np.uint64(1)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


def empty_set(n: int) -> tuple[Words, Words]:
    """An empty set over 0..n-1: one bit each, and one bit for each word that is not empty."""
    words = n // 64 + 1
    return np.zeros(words, np.uint64), np.zeros(words // 64 + 1, np.uint64)


@kernel
def lowest(word: np.uint64) -> int:
    """Position of the lowest bit of a word that is not 0."""
    n = 0
    for width in (32, 16, 8, 4, 2, 1):
        if word & ((ONE << np.uint64(width)) - ONE) == np.uint64(0):
            word >>= np.uint64(width)
            n += width
    return n


@kernel
def add(low: Words, high: Words, i: int) -> None:
    """Put i into the set."""
    low[i >> 6] |= ONE << np.uint64(i & 63)
    high[i >> 12] |= ONE << np.uint64((i >> 6) & 63)


@kernel
def discard(low: Words, high: Words, i: int) -> None:
    """Take i out of the set."""
    low[i >> 6] &= ~(ONE << np.uint64(i & 63))
    if low[i >> 6] == np.uint64(0):
        high[i >> 12] &= ~(ONE << np.uint64((i >> 6) & 63))


@kernel
def next_from(low: Words, high: Words, i: int) -> int:
    """The smallest member >= i, or -1."""
    w = i >> 6
    if w >= low.size:
        return -1
    word = low[w] & (ALL << np.uint64(i & 63))
    if word != np.uint64(0):
        return (w << 6) + lowest(word)
    w += 1
    h = w >> 6
    if h >= high.size:
        return -1
    summary = high[h] & (ALL << np.uint64(w & 63))
    while summary == np.uint64(0):
        h += 1
        if h >= high.size:
            return -1
        summary = high[h]
    w = (h << 6) + lowest(summary)
    return (w << 6) + lowest(low[w])
