"""The shape of a request in time x memory: pure functions of prompt tokens s and output tokens o.

A running request holds s + u KV tokens while it makes its u-th output token (`unit`, the papers' model) or
s + u - 1 (`engine`: vLLM gives the last sampled token no slot). All functions work on numbers and on arrays.
"""

from __future__ import annotations

from typing import Any, Literal

Holding = Literal["unit", "engine"]


def volume(s: Any, o: Any, holding: Holding = "unit") -> Any:
    """KV volume in token-steps: the sum over u = 1..o of what the request holds (SVF, arXiv 2606.22327, sec. 2).

    Exact for integers. With `engine` the sum is that of s + u - 1.
    """
    triangle = o * (o + 1)
    half = triangle // 2 if _integral(triangle) else triangle / 2
    return s * o + half - (o if holding == "engine" else 0)


def peak(s: Any, o: Any, holding: Holding = "unit") -> Any:
    """Largest number of KV tokens that the request holds: s + o, or s + o - 1 in an engine."""
    return s + o - (1 if holding == "engine" else 0)


def centroid_lag(s: Any, o: Any) -> Any:
    """Rounds from the centre of the request's volume to its completion, when every round takes one unit.

    D = o - (1/v) * sum over u of (u - 1/2)(s + u): volume is held late, so the centre lies close to the end.
    """
    sf, of = s * 1.0, o * 1.0
    first_moment = sf * of * of / 2 + of * (of + 1) * (2 * of + 1) / 6 - of * (of + 1) / 4
    return of - first_moment / volume(sf, of)


def _integral(x: Any) -> bool:
    return isinstance(x, int) or (hasattr(x, "dtype") and x.dtype.kind in "iu")
