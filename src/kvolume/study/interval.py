"""What several seeds say of a mean: the mean of their values, with Student's confidence interval.

The values of different seeds are independent and, for means over many requests, nearly normal; of percentiles and of
largest values this is less true, and their intervals are rough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from kvolume.errors import ParameterError

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean and half the width of its confidence interval; None where there is one value only."""

    mean: float
    half: float | None


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean of independent values, with Student's interval: s / sqrt(n) times the quantile at n - 1 degrees.

    Raises ParameterError for no values, or a confidence that is not between 0 and 1.
    """
    n = len(values)
    if not n:
        raise ParameterError("An interval needs at least one value. Got none.")
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (n - 1))
    return Interval(mean, student(confidence, n - 1) * deviation / math.sqrt(n))


@cache
def student(confidence: float, degrees: int) -> float:
    """The t with P(|T| <= t) = confidence for Student's T with so many degrees of freedom, to 12 digits or so.

    By bisection of the closed form for whole degrees (Abramowitz and Stegun, 26.7.3 and 26.7.4).
    """
    if not 0 < confidence < 1:
        raise ParameterError(f"The confidence must be between 0 and 1. Got {confidence} instead.")
    if degrees < 1:
        raise ParameterError(f"The degrees of freedom must be >= 1. Got {degrees} instead.")
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < confidence else (low, middle)
    return math.tan(low) * math.sqrt(degrees)


def _within(angle: float, degrees: int) -> float:
    """P(|T| <= t) for tan(angle) = t / sqrt(degrees)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
