"""The shape of a request in time x memory: pure functions of prompt tokens s and output tokens o.

A running request holds s + u KV tokens while it makes its u-th output token (`unit`, the papers' model) or
s + u - 1 (`engine`: vLLM gives the last sampled token no slot). All functions work on numbers and on arrays.
"""

from __future__ import annotations

from typing import Any, Literal

Holding = Literal["unit", "engine"]


def twice_volume(s: Any, o: Any) -> Any:
    """Twice the KV volume, 2so + o(o+1): whole for whole lengths, so orders and choices by it are exact."""
    return (2 * s + o + 1) * o


def volume(s: Any, o: Any, holding: Holding = "unit") -> Any:
    """KV volume in token-steps: the sum over u = 1..o of what the request holds (SVF, arXiv 2606.22327, sec. 2).

    Exact for integers. With `engine` the sum is that of s + u - 1.
    """
    twice = twice_volume(s, o)
    v = twice // 2 if _integral(twice) else twice / 2
    return v - o if holding == "engine" else v


def peak(s: Any, o: Any, holding: Holding = "unit") -> Any:
    """Largest number of KV tokens that the request holds: s + o, or s + o - 1 in an engine."""
    return s + o - (1 if holding == "engine" else 0)


def attention_pairs(before: Any, after: Any) -> Any:
    """Pairs of a token and one that it attends to (itself among them), for the tokens before+1..after of a sequence."""
    return (after * (after + 1) - before * (before + 1)) // 2


def whole_blocks(tokens: Any, block: int) -> Any:
    """KV tokens that are taken for so many: whole blocks of `block` tokens."""
    return -(-tokens // block) * block


def _integral(x: Any) -> bool:
    return isinstance(x, int) or (hasattr(x, "dtype") and x.dtype.kind in "iu")
