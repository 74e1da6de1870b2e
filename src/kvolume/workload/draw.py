"""Other samples of the same traffic: requests and gaps of a workload, drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.errors import InputError, ParameterError
from kvolume.workload._workload import Workload


def draw(workload: Workload, n: int, seed: int = 0) -> Workload:
    """`n` requests drawn from a workload, in random order, with gaps drawn from its gaps; same seed, same bytes.

    Rows (prompt, output, predictions, bounds, client together) are drawn without replacement while n <= len(workload),
    else with replacement; so are the n - 1 gaps between consecutive arrivals, independently of the rows. The first
    request arrives at 0; `finish_s` is dropped. Bursts longer than one gap are not kept.
    Raises ParameterError for n < 1 or a negative seed, InputError where a single request has no gap to draw.
    """
    if n < 1:
        raise ParameterError(f"The number of requests to draw must be >= 1. Got {n} instead.")
    if seed < 0:
        raise ParameterError(f"The seed must be >= 0. Got {seed} instead.")
    rows_rng, gaps_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    drawn = workload.take(rows_rng.choice(len(workload), n, replace=n > len(workload)))
    times = workload.arrival_s if workload.arrival_s is not None else workload.arrival
    if times is None:
        return drawn
    gaps = np.diff(np.sort(times))
    if n > 1 and gaps.size == 0:
        raise InputError(
            f"'{workload.name}' has one request and so no gap between arrivals: draw 1, or set arrivals after."
        )
    chosen = gaps_rng.choice(gaps, n - 1, replace=n - 1 > gaps.size) if n > 1 else gaps[:0]
    arrivals: npt.NDArray[Any] = np.concatenate(
        [np.zeros(1, times.dtype), np.cumsum(chosen, dtype=times.dtype)]
    )
    return drawn.with_arrivals(arrivals)
