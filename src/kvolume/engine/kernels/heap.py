"""A binary heap of (key, index) in two arrays: the queue in a static order, ties by index."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.jit import inner

Ints = npt.NDArray[np.int64]


def sortable(keys: npt.NDArray[np.number]) -> Ints:
    """Any numeric keys as int64 in the same order, so that kernels need one signature."""
    if keys.dtype.kind in "iu":
        return np.ascontiguousarray(keys, np.int64)
    bits = (np.asarray(keys, np.float64) + 0.0).view(np.int64)  # + 0.0: -0.0 and 0.0 are one key
    return np.where(bits < 0, np.int64(-(2**63)) - bits - 1, bits)


@inner
def push(keys: Ints, items: Ints, n: int, key: int, item: int) -> int:
    """Add (key, item) to a heap of n; the new n."""
    p = n
    while p > 0:
        q = (p - 1) >> 1
        if keys[q] < key or (keys[q] == key and items[q] < item):
            break
        keys[p] = keys[q]
        items[p] = items[q]
        p = q
    keys[p] = key
    items[p] = item
    return n + 1


@inner
def pop(keys: Ints, items: Ints, n: int) -> int:
    """Remove the smallest from a heap of n; the new n."""
    n -= 1
    key = keys[n]
    item = items[n]
    p = 0
    while True:
        c = 2 * p + 1
        if c >= n:
            break
        if c + 1 < n and (keys[c + 1] < keys[c] or (keys[c + 1] == keys[c] and items[c + 1] < items[c])):
            c += 1
        if keys[c] > key or (keys[c] == key and items[c] > item):
            break
        keys[p] = keys[c]
        items[p] = items[c]
        p = c
    keys[p] = key
    items[p] = item
    return n
