"""vLLM's pool of KV blocks, compiled: the twin of `engine/block_pool.py`, in which the rules are written down.

A block is a row of q; row 0 is the ends of the free queue. What can be found is in t, a hash table with open
addressing: a row is a key with its first and last block, 0 where it is empty.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.jit import inner

Ints = npt.NDArray[np.int64]

# of a block: neighbours in the free queue, holders, key (if NAMED), neighbours among those with the same key
NEXT, PREV, HOLDERS, NAMED, KEY, SAME_NEXT, SAME_PREV = range(7)
AT, OLDEST, NEWEST = range(3)  # of a row of t
ENDS = np.int64(0)  # row of q; 0 also stands for no block


def fresh_pool(size: int) -> tuple[Ints, Ints]:
    """q and t for so many blocks, all of them free."""
    q = np.zeros((size + 1, 8), np.int64)
    q[:, NEXT] = np.arange(1, size + 2) % (size + 1)
    q[:, PREV] = np.arange(-1, size) % (size + 1)
    return q, np.zeros((1 << (2 * size + 2).bit_length(), 4), np.int64)


@inner
def place(t: Ints, key: int) -> int:
    """The row of the table where the key is, or would be."""
    mask = t.shape[0] - 1
    h = key * np.int64(-7046029254386353131)
    at = (h ^ (h >> 29)) & mask
    while t[at, OLDEST] != ENDS and t[at, AT] != key:
        at = (at + 1) & mask
    return at


@inner
def found(t: Ints, key: int) -> int:
    """The block that got this key first, or 0."""
    return t[place(t, key), OLDEST]


@inner
def name(q: Ints, t: Ints, block: int, key: int) -> None:
    """From now on the block can be found by its content."""
    at = place(t, key)
    last = t[at, NEWEST] if t[at, OLDEST] != ENDS else ENDS
    q[block, NAMED] = 1
    q[block, KEY] = key
    q[block, SAME_PREV] = last
    q[block, SAME_NEXT] = ENDS
    t[at, AT] = key
    t[at, NEWEST] = block
    if last == ENDS:
        t[at, OLDEST] = block
    else:
        q[last, SAME_NEXT] = block


@inner
def forget(q: Ints, t: Ints, block: int) -> None:
    """The content of the block is lost."""
    at = place(t, q[block, KEY])
    before, after = q[block, SAME_PREV], q[block, SAME_NEXT]
    q[block, NAMED] = 0
    if before == ENDS:
        t[at, OLDEST] = after
    else:
        q[before, SAME_NEXT] = after
    if after == ENDS:
        t[at, NEWEST] = before
    else:
        q[after, SAME_PREV] = before
    if t[at, OLDEST] == ENDS:
        close_up(t, at)


@inner
def close_up(t: Ints, hole: int) -> None:
    """Move later rows of the same run back, so that no search stops at a hole."""
    mask = t.shape[0] - 1
    at = (hole + 1) & mask
    while t[at, OLDEST] != ENDS:
        h = t[at, AT] * np.int64(-7046029254386353131)
        home = (h ^ (h >> 29)) & mask
        if ((at - home) & mask) >= ((at - hole) & mask):
            for k in range(3):
                t[hole, k] = t[at, k]
            hole = at
        at = (at + 1) & mask
    t[hole, OLDEST] = ENDS


@inner
def link(q: Ints, block: int, before: int) -> None:
    """Into the free queue, behind `before`."""
    after = q[before, NEXT]
    q[block, PREV] = before
    q[block, NEXT] = after
    q[before, NEXT] = block
    q[after, PREV] = block


@inner
def unlink(q: Ints, block: int) -> None:
    """Out of the free queue."""
    q[q[block, PREV], NEXT] = q[block, NEXT]
    q[q[block, NEXT], PREV] = q[block, PREV]


@inner
def take_block(q: Ints, t: Ints) -> int:
    """The next block for new content; what it had is lost."""
    block = q[ENDS, NEXT]
    unlink(q, block)
    q[block, HOLDERS] = 1
    if q[block, NAMED]:
        forget(q, t, block)
    return block
