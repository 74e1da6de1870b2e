"""How requests enter and leave the two sets of waiting ones: the same for the general and the serving kernel.

Both number these entries of their state alike: A and RANK of p, JOINED and EVICTED of r, the first five of z.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.bitset import add, discard
from kvolume.engine.kernels.jit import inner

# isort: off
from kvolume.engine.kernels.state import (
    ADMITTED, BARREN, BY_ARRIVAL, BY_RANK, EVICTED, JOINED, NEXT, NOW, RANK, THROUGH_LANE, TICK, WAITING, A,
)  # fmt: skip
# isort: on

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]


@inner
def join(p: Ints, r: Ints, z: Ints, low: Words, high: Words) -> None:
    """Everybody who has arrived joins the queue."""
    while z[NEXT] < p.shape[1] and p[A, z[NEXT]] <= z[TICK]:
        c = z[NEXT]
        add(low, high, BY_RANK, p[RANK, c])
        add(low, high, BY_ARRIVAL, c)
        r[JOINED, c] = z[NOW]
        z[WAITING] += 1
        z[NEXT] += 1
        z[BARREN] = 0


@inner
def leave_queue(
    p: Ints, r: Ints, z: Ints, f: Floats, low: Words, high: Words, charge: Floats, share: float, c: int, lane: bool
) -> None:  # fmt: skip
    """A waiting request is admitted, maybe as head of the arrival lane; an empty queue resets the lane's account."""
    discard(low, high, BY_RANK, p[RANK, c])
    discard(low, high, BY_ARRIVAL, c)
    z[WAITING] -= 1
    if r[EVICTED, c] == 0 and share > 0.0:
        f[ADMITTED] += charge[c]
        if lane:
            f[THROUGH_LANE] += charge[c]
    if z[WAITING] == 0:
        f[ADMITTED] = 0.0
        f[THROUGH_LANE] = 0.0
