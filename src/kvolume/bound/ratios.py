"""The ratios of the papers, as formulas: sum of latencies over that of the best schedule without preemption."""

from __future__ import annotations

import math


def svf_ratio(alpha: float, share: float = 0.0) -> float:
    """SVF on a burst with peaks of at most alpha M: 1 + 2/(1-alpha) (SVF, Thm 3.2); with a share (claim 1, ours)."""
    return 1 + 2 / ((1 - alpha) * (1 - share))


def one_bit_ratio(longest: float, alpha: float, rounding: float = 1.0) -> float:
    """One bit on a burst, T = longest, admission by the proxies (ours: docs/guarantees.md).

    1 + 2(4T + c^2 sqrt T)/(1-alpha); `rounding` is c, the largest factor by which rounding up changes a proxy length.
    """
    return 1 + 2 * (4 * longest + rounding**2 * math.sqrt(longest)) / (1 - alpha)


def one_bit_oracle_ratio(longest: float, alpha: float) -> float:
    """One bit on a burst where admission knows the lengths (SVF, Thm 3.3): 1 + 2T/(1-alpha)."""
    return 1 + 2 * longest / (1 - alpha)


def poisson_ratio(alpha: float, mu: float, rho: float) -> float:
    """SVF under Poisson arrivals with geometric outputs, in expectation (SVF, Thm 3.4): 1 + 2/((1-alpha)(1-mu)(1-rho)).

    rho is lambda E[v] over half of what alpha leaves, (1-alpha) M / 2; infinite from 1 on.
    """
    return 1 + 2 / ((1 - alpha) * (1 - mu) * (1 - rho)) if rho < 1 else math.inf


def one_bit_poisson_ratio(alpha: float, mu: float, rho: float, theta: int, mean_volume: float) -> float:
    """The same with one bit, o <= theta (SVF, Thm 3.5): the second term times E[v]/(E[v] - eps)."""
    tail = (1 - mu) ** theta
    eps = (theta * tail / (1 - tail)) ** 2 / 2
    if eps >= mean_volume:
        return math.inf
    return 1 + (poisson_ratio(alpha, mu, rho) - 1) * mean_volume / (mean_volume - eps)


def gba_ratio(alpha: float, large_memory: bool = False) -> float:
    """GBA with classes that grow by alpha: c a^2 + a^2/(a-1), c = 3, or 1 in large memory (arXiv 2601.22996)."""
    return (1 if large_memory else 3) * alpha**2 + alpha**2 / (alpha - 1)


def gsa_ratio(alpha: float, large_memory: bool = False) -> float:
    """GSA with slices that grow by alpha: 2a/(a-1) times GBA's (arXiv 2601.22996)."""
    return 2 * alpha / (alpha - 1) * gba_ratio(alpha, large_memory)


def a_max_ratio(lower_over_upper: float) -> float:
    """A-max with outputs within [l, u], a = l/u, against MC-SF with known lengths: (1/a)(1 + 1/a)/2 (2508.14544)."""
    return (1 + 1 / lower_over_upper) / (2 * lower_over_upper)
