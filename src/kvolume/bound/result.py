"""What a bound or an optimum says, in the workload's unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Bound:
    """No schedule of these requests can have a smaller sum of latencies.

    `unit` is `rounds` or `s`. `any_policy` is False where policies that keep tokens over an eviction may beat it.
    """

    total_latency: float
    requests: int
    kind: str
    unit: str
    any_policy: bool = True

    @property
    def mean_latency(self) -> float:
        """The bound on the mean latency."""
        return self.total_latency / self.requests


@dataclass(frozen=True)
class Optimum:
    """The best schedule found and a proven bound; `proven` says that the two meet.

    `start` are rounds in the workload's order (None when no schedule was found in time). It bounds only policies
    that keep no tokens over an eviction: with kept tokens a schedule can beat it.
    """

    total_latency: int | None
    bound: float
    proven: bool
    status: str
    requests: int
    solver: str
    start: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    unit: str = "rounds"

    @property
    def mean_latency(self) -> float | None:
        """Mean latency of the best schedule found."""
        return None if self.total_latency is None else self.total_latency / self.requests

    @property
    def gap(self) -> float | None:
        """(found - bound) / found: 0 when proven."""
        if self.total_latency is None:
            return None
        return max(0.0, 1 - self.bound / self.total_latency) if not self.proven else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Flat, for JSON."""
        return {
            "total_latency": self.total_latency, "mean_latency": self.mean_latency, "bound": self.bound,
            "gap": self.gap, "proven": self.proven, "status": self.status, "requests": self.requests,
            "solver": self.solver, "unit": self.unit,
        }  # fmt: skip


@dataclass(frozen=True)
class LogCertificate:
    """How far from optimal a real log can have been at most, if the clock is nowhere slower than the engine was."""

    mean_latency: float  # seconds
    bound: float  # seconds
    requests: int
    assumption: str
    warning: str = ""

    @property
    def ratio(self) -> float:
        """Mean latency of the log over the bound; below 1 the clock is too slow for the log."""
        return self.mean_latency / self.bound
