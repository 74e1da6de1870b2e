"""A set of small integers as a three-level bitset: add, remove, first and next in a few word operations.

Waiting requests are kept by their rank in the policy's order, so that a queue can be walked in order, which
backfilling needs and a heap cannot give.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.jit import inner

Words = npt.NDArray[np.uint64]

ONE = np.uint64(1)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


def empty_sets(sets: int, n: int) -> tuple[Words, Words]:
    """Empty sets over 0..n-1, a row each: one bit for each member, and one for each word that is not empty."""
    words = n // 64 + 1
    return np.zeros((sets, words), np.uint64), np.zeros((sets, words // 64 + 1), np.uint64)


@inner
def lowest(word: np.uint64) -> int:
    """Position of the lowest bit of a word that is not 0."""
    n = 0
    for width in (32, 16, 8, 4, 2, 1):
        if word & ((ONE << np.uint64(width)) - ONE) == np.uint64(0):
            word >>= np.uint64(width)
            n += width
    return n


@inner
def add(low: Words, high: Words, row: int, i: int) -> None:
    """Put i into the set of this row."""
    low[row, i >> 6] |= ONE << np.uint64(i & 63)
    high[row, i >> 12] |= ONE << np.uint64((i >> 6) & 63)


@inner
def discard(low: Words, high: Words, row: int, i: int) -> None:
    """Take i out of the set of this row."""
    low[row, i >> 6] &= ~(ONE << np.uint64(i & 63))
    if low[row, i >> 6] == np.uint64(0):
        high[row, i >> 12] &= ~(ONE << np.uint64((i >> 6) & 63))


@inner
def next_from(low: Words, high: Words, row: int, i: int) -> int:
    """The smallest member >= i of the set of this row, or -1."""
    w = i >> 6
    if w >= low.shape[1]:
        return -1
    word = low[row, w] & (ALL << np.uint64(i & 63))
    if word != np.uint64(0):
        return (w << 6) + lowest(word)
    w += 1
    h = w >> 6
    if h >= high.shape[1]:
        return -1
    summary = high[row, h] & (ALL << np.uint64(w & 63))
    while summary == np.uint64(0):
        h += 1
        if h >= high.shape[1]:
            return -1
        summary = high[row, h]
    w = (h << 6) + lowest(summary)
    return (w << 6) + lowest(low[row, w])
