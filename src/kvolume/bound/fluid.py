"""The memory condition of Nested WAIT (arXiv 2504.11320): how many KV tokens make overflow unlikely."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, log1p

from kvolume.errors import ParameterError, missing_extra


def overflow_exponent(before: int, threshold: int, onward: float) -> float:
    """theta_k > 0, the root of exp(-theta n_k) (1 - p_k + p_k exp(theta))^n_{k-1} = 1, with p_k < n_k/n_{k-1} < 1.

    The queue at the entry of segment k exceeds x with a probability of about exp(-theta_k x). Infinite at p_k = 0.
    Raises ParameterError where the thresholds do not satisfy the condition, MissingExtraError without SciPy.
    """
    try:
        from scipy.optimize import brentq
    except ImportError:
        raise missing_extra("The memory condition", "optimum", "SciPy") from None
    if not onward * before < threshold < before:
        raise ParameterError(
            f"The thresholds must satisfy p_k < n_k/n_(k-1) < 1. Got n_k = {threshold}, n_(k-1) = {before} and "
            f"p_k = {onward:g} instead."
        )
    if onward == 0:
        return float("inf")

    def excess(theta: float) -> float:  # log of the left side; log(1 - p + p e^theta) without overflow
        grown = theta + log(onward) + log1p((1 - onward) / onward * exp(-theta))
        return before * grown - threshold * theta

    high = 1.0
    while excess(high) <= 0:
        high *= 2
    low = high
    while excess(low) > 0:
        low /= 2
    return float(brentq(excess, low, high, xtol=1e-14, rtol=1e-12))


def nested_memory(
    thresholds: Sequence[int], onward: Sequence[float], bounds: Sequence[int], prompt: int, iterations: float,
    risk: float = 0.01,
) -> float:  # fmt: skip
    """KV tokens with which Nested WAIT overflows in `iterations` (T/d0) iterations with probability `risk` at most.

    M_pi + sum over k >= 2 of (s + o_{k-1}) (n_k + ln(m (1 + T/d0)/risk)/theta_k), with M_pi the tokens of full
    segments: segment k makes the output tokens o_{k-1}+1 .. o_k = `bounds`, so that a request holds s + u in it.
    """
    before = [0, *bounds[:-1]]
    total = 0.0
    for n, begin, end in zip(thresholds, before, bounds, strict=True):
        total += n * (end - begin) * (prompt + (begin + 1 + end) / 2)
    rare = log(len(thresholds) * (1 + iterations) / risk)
    for k in range(1, len(thresholds)):
        theta = overflow_exponent(thresholds[k - 1], thresholds[k], onward[k - 1])
        total += (prompt + before[k]) * (thresholds[k] + rare / theta)
    return total
