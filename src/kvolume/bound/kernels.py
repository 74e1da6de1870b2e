"""The preemptive single machine of the mean-busy-time bound, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.engine.kernels.heap import pop, push
from kvolume.engine.kernels.jit import kernel


@kernel
def mean_busy_times(
    arrival: npt.NDArray[np.int64], work: npt.NDArray[np.float64], order: npt.NDArray[np.int64]
) -> float:
    """Sum of mean busy times, preemptive, smallest work first (place in `order`); `arrival` ascending."""
    n = arrival.size
    rank = np.empty(n, np.int64)
    for k in range(n):
        rank[order[k]] = k
    left = work.copy()
    keys = np.empty(n, np.int64)
    items = np.empty(n, np.int64)
    queued = 0
    total = 0.0
    now = 0.0
    nx = 0
    while nx < n or queued > 0:
        if queued == 0 and now < arrival[nx]:
            now = float(arrival[nx])
        while nx < n and arrival[nx] <= now:
            queued = push(keys, items, queued, rank[nx], nx)
            nx += 1
        i = items[0]
        run = left[i]
        if nx < n and now + run > arrival[nx]:
            run = arrival[nx] - now
            left[i] -= run
        else:
            queued = pop(keys, items, queued)
        total += (now + run / 2) * (run / work[i])
        now += run
    return total
