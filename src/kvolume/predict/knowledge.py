"""How much of a predicted length a policy is told: all of it, or one bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.errors import ParameterError

Lengths = npt.NDArray[Any]


class Knowledge:
    """Base: what a policy is told of each predicted length.

    A simulator learns from the workload itself; a server from the requests that have finished.
    """

    in_sample = False
    column = "predicted"  # of the workload, that `reveal` is given: predicted, or the bounds lower and upper

    def learn(self, predicted: Lengths, output: Lengths) -> Any:
        """Statistics of requests whose true lengths are known, for `told`."""
        return None

    def told(self, predicted: Lengths, learned: Any) -> Lengths:
        """Proxy lengths, at least 1, shape (n,)."""
        raise NotImplementedError

    def reveal(self, predicted: Lengths, output: Lengths) -> Lengths:
        """Proxy lengths, at least 1, shape (n,). `output` (true lengths) may serve only for class statistics."""
        return self.told(predicted, self.learn(predicted, output))


@dataclass(frozen=True)
class Exact(Knowledge):
    """The predicted length itself."""

    def told(self, predicted: Lengths, learned: Any) -> Lengths:
        return predicted


@dataclass(frozen=True)
class Lower(Exact):
    """Only a lower bound on the length: the workload's column `lower`, or the prediction where there is none."""

    column = "lower"


@dataclass(frozen=True)
class Upper(Exact):
    """Only an upper bound on the length: the workload's column `upper`, or the prediction where there is none."""

    column = "upper"


@dataclass(frozen=True)
class OneBit(Knowledge):
    """Only whether a request is short (predicted <= theta) or long; each class has one proxy length.

    empirical   proxies are the class means, theta the median output by default (of the workload itself: in sample)
    worst-case  short iff o <= sqrt(T); proxies T^(1/4), T^(3/4); T the maximum length  (SVF, Thm 3.3: burst)
    geometric   o ~ Geo(mu), q = 1 - mu: proxies 1/mu - theta q^theta/(1 - q^theta) and theta + 1/mu  (Thm 3.5)
    """

    rule: str = "empirical"
    theta: int | None = None
    mu: float | None = None
    most: int | None = None  # T

    @property
    def in_sample(self) -> bool:  # type: ignore[override]
        if self.rule == "worst-case":
            return self.most is None
        return self.rule == "empirical" or self.theta is None or self.mu is None

    def learn(self, predicted: Lengths, output: Lengths) -> tuple[float, float, float]:
        return self.proxies(predicted, output)

    def told(self, predicted: Lengths, learned: tuple[float, float, float]) -> Lengths:
        theta, short, long = learned
        return np.where(predicted <= theta, max(short, 1.0), max(long, 1.0))

    def proxies(self, predicted: Lengths, output: Lengths) -> tuple[float, float, float]:
        """Threshold, and the proxy lengths of short and long requests."""
        if self.rule == "worst-case":
            longest = float(self.most or output.max())
            return longest**0.5, longest**0.25, longest**0.75
        theta = float(np.median(output)) if self.theta is None else float(self.theta)
        if self.rule == "geometric":
            mu = 1 / float(output.mean()) if self.mu is None else self.mu
            tail = (1 - mu) ** theta
            short = 1.0 if tail >= 1 else 1 / mu - theta * tail / (1 - tail)
            return theta, short, theta + 1 / mu
        if self.rule != "empirical":
            raise ParameterError(
                f"The 'rule' of one-bit must be empirical, worst-case or geometric. Got {self.rule!r} instead."
            )
        is_short = predicted <= theta
        short = float(output[is_short].mean()) if is_short.any() else theta
        long = float(output[~is_short].mean()) if not is_short.all() else theta
        return theta, short, long
