"""The waiting requests of the general serving kernel, sorted: row LINE of v, from z[HEAD] on.

Keys are known only when a request arrives, so a bitset by rank will not do. Whoever starts is mostly the first, and
whoever arrives mostly among the last: the line moves at the nearer end.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.bitset import add, discard
from kvolume.engine.kernels.jit import inner
from kvolume.engine.kernels.serving_cache import HEAD, RANK, WAITING

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

LINE = 1
OLDEST = np.int64(0)  # the one set of waiting requests, by arrival


@inner
def before(r: Ints, a: int, b: int) -> bool:
    """Does a come before b in the policy's order?"""
    return r[a, RANK] < r[b, RANK] or (r[a, RANK] == r[b, RANK] and a < b)


@inner
def place_of(r: Ints, z: Ints, v: Ints, c: int) -> int:
    """How many come before c."""
    low, high = 0, z[WAITING]
    while low < high:
        middle = (low + high) // 2
        if before(r, v[LINE, z[HEAD] + middle], c):
            low = middle + 1
        else:
            high = middle
    return low


@inner
def enqueue(r: Ints, z: Ints, v: Ints, low: Words, high: Words, c: int) -> None:
    """Into the queue, in the policy's order."""
    k = place_of(r, z, v, c)
    if z[HEAD] > 0 and (2 * k < z[WAITING] or z[HEAD] + z[WAITING] == v.shape[1]):
        z[HEAD] -= 1
        for i in range(z[HEAD], z[HEAD] + k):
            v[LINE, i] = v[LINE, i + 1]
    else:
        for i in range(z[HEAD] + z[WAITING], z[HEAD] + k, -1):
            v[LINE, i] = v[LINE, i - 1]
    v[LINE, z[HEAD] + k] = c
    z[WAITING] += 1
    add(low, high, OLDEST, c)


@inner
def dequeue(r: Ints, z: Ints, v: Ints, low: Words, high: Words, c: int) -> None:
    """Out of the queue."""
    k = place_of(r, z, v, c)
    z[WAITING] -= 1
    if 2 * k < z[WAITING]:
        for i in range(z[HEAD] + k, z[HEAD], -1):
            v[LINE, i] = v[LINE, i - 1]
        z[HEAD] += 1
    else:
        for i in range(z[HEAD] + k, z[HEAD] + z[WAITING]):
            v[LINE, i] = v[LINE, i + 1]
    discard(low, high, OLDEST, c)
