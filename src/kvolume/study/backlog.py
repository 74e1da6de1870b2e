"""Does the backlog grow for as long as requests arrive?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kvolume.geometry import volume

if TYPE_CHECKING:
    from kvolume.engine import Result

Floats = npt.NDArray[np.float64]


def pile_up(result: Result) -> float | None:
    """The share of the offered KV volume that piles up while requests arrive; None for a burst, or without a finish.

    The mean backlog (volume of the requests that have arrived and not finished) in the last quarter of the arrivals'
    time, less that in the third quarter, over the volume that arrives in a quarter. In a steady state it is 0 but for
    noise; where a server does a share c of what is offered, it is 1 - c. By volume and not by number, so that a policy
    cannot look sustainable by putting off a few large requests for ever.
    """
    done = result.done
    if result.status != "finished" or not done.any():
        return None
    arrival, finish = (np.asarray(x[done], np.float64) for x in (result.arrival, result.finish))
    begin, end = float(arrival.min()), float(arrival.max())
    if end <= begin:
        return None
    w = result.workload
    v = np.asarray(volume(w.prompt_tokens[done], w.output_tokens[done]), np.float64)
    quarter = (end - begin) / 4
    third, last = (_held(arrival, finish, v, end - k * quarter, quarter) for k in (2, 1))
    return float((last - third) / quarter / (v.sum() / 4))


def _held(arrival: Floats, finish: Floats, v: Floats, at: float, span: float) -> float:
    """The time integral of the backlog from `at` on, for `span`."""
    stay = np.minimum(finish, at + span) - np.maximum(arrival, at)
    return float((np.maximum(stay, 0.0) * v).sum())
