"""Order: who is next? A static key, smallest first; ties by arrival, then id, so that every order is total."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.policy.contract import Columns, Scale, Start, State


class Order:
    """Base of all orders. A subclass gives `key`; lanes over one queue override `queue` as well."""

    share: float = 0.0  # of the admitted volume that goes to the oldest request (svf.ArrivalShare)
    in_sample = False  # does the key use statistics of the workload that it orders?

    def key(self, request: Any) -> Any:
        """The number to sort by, smallest first.

        Write it with arithmetic and NumPy functions: `request` is one Request, or Columns of all of them.
        """
        raise NotImplementedError

    def fit(self, scale: Scale) -> Order:
        """The same order with its parameters in tokens and ticks; most orders have nothing to fit."""
        return self

    def keys(self, columns: Columns) -> npt.NDArray[Any]:
        """The key of every request. Shape (n,)."""
        return np.array(np.broadcast_to(self.key(columns), columns.id.shape))

    def queue(self, state: State) -> Iterator[Start]:
        """The waiting requests, next first."""
        return map(Start, sorted(state.waiting, key=lambda r: (r.key, r.arrival, r.id)))


@dataclass(frozen=True)
class Arrival(Order):
    """First come, first served."""

    def key(self, request: Any) -> Any:
        return request.arrival


@dataclass(frozen=True)
class ShortestOutput(Order):
    """Smallest predicted output first: SJF, and with look-ahead MC-SF (arXiv 2502.07115)."""

    def key(self, request: Any) -> Any:
        return request.predicted


@dataclass(frozen=True)
class LongestOutput(Order):
    """Largest predicted output first: deliberately bad, for tests and as a warning."""

    def key(self, request: Any) -> Any:
        return -request.predicted


@dataclass(frozen=True)
class Shuffled(Order):
    """A random but fixed order: the key is a hash of seed and id."""

    seed: int = 0

    def key(self, request: Any) -> Any:
        with np.errstate(over="ignore"):  # the hash is meant to wrap around (splitmix64's finaliser)
            x = np.asarray(request.id, np.uint64) + np.uint64(self.seed) * np.uint64(0x9E3779B97F4A7C15)
            x = (x + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            return ((x ^ (x >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)
