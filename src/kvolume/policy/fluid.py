"""The fluid model of batched serving and the thresholds that follow from it (WAIT, arXiv 2504.11320).

Requests of type j arrive at rate lambda_j. An iteration lasts d0 + d1 * (KV tokens held by its batch). The paper's
request of prompt l and d decode iterations is ours of prompt s = l - 1 and output o = d + 1: its prefill iteration,
stage 0, makes the first token and holds l, stage k holds l + k. So its work w = (d + 1)(l + d/2) is our volume.
Rates and d0, d1 share one unit of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import NamedTuple

from kvolume.errors import ParameterError


class Equilibrium(NamedTuple):
    """Where the fluid model settles: KV tokens held, length of an iteration, requests of each type per stage."""

    kv_tokens: float
    iteration: float
    per_stage: tuple[float, ...]


def equilibrium(rates: Sequence[float], volumes: Sequence[float], d0: float, d1: float) -> Equilibrium:
    """M* = d0 L/(1 - d1 L), DT* = d0/(1 - d1 L), n*_j = lambda_j DT*, with L = sum lambda_j w_j.

    Raises ParameterError where d1 L >= 1: no batch, however large, keeps up.
    """
    load = sum(rate * volume for rate, volume in zip(rates, volumes, strict=True))
    if d1 * load >= 1:
        raise ParameterError(f"The load d1 * L must be below 1 for an equilibrium to exist. Got {d1 * load:g} instead.")
    iteration = d0 / (1 - d1 * load)
    return Equilibrium(iteration * load, iteration, tuple(rate * iteration for rate in rates))


def thresholds(rates: Sequence[float], costs: Sequence[float], d0: float) -> tuple[int, ...] | None:
    """WAIT's: the smallest integers with d0 + sum n_j costs_j < n_j / lambda_j for all j; None where there are none
    (a load of 1 or, since the search then takes for ever, hardly less).

    `costs` is what a threshold of 1 adds to an iteration (d1 w_j). Every solution has an iteration longer than
    d0/(1 - sum lambda costs), so the search starts there and only ever goes up: n_j <- floor(lambda_j tau) + 1.
    """
    load = sum(rate * cost for rate, cost in zip(rates, costs, strict=True))
    if not load < 1 - 1e-6:
        return None
    tau = d0 / (1 - load)
    while True:
        n = tuple(floor(rate * tau) + 1 for rate in rates)
        longer = d0 + sum(k * cost for k, cost in zip(n, costs, strict=True))
        if all(rate * longer < k for rate, k in zip(rates, n, strict=True)):
            return n
        tau = longer


def chain(first: int, onward: Sequence[float]) -> tuple[int, ...] | None:
    """Nested WAIT's n_k, the smallest with p_k < n_k/n_{k-1} < 1 after n_1 = `first`; None where there are none."""
    n = [first]
    for p in onward:
        n.append(floor(p * n[-1]) + 1)
        if n[-1] >= n[-2]:
            return None
    return tuple(n)


def nested_thresholds(
    rate: float, onward: Sequence[float], costs: Sequence[float], d0: float, most: int
) -> tuple[int, ...] | None:
    """Nested WAIT's: the smallest n_1 <= most, and its chain, with d0 + sum n_k costs_k < n_1 / lambda; or None.

    `onward` are the p_k, k = 2..m: the share of requests that get to segment k - 1 and go on to segment k.
    """
    first = 1
    while first <= most:
        n = chain(first, onward)
        if n is None:
            first += 1
            continue
        need = floor(rate * (d0 + sum(k * cost for k, cost in zip(n, costs, strict=True)))) + 1
        if need <= first:
            return n
        first = need
    return None


def filling(shares: Sequence[float], volumes: Sequence[float], kv_tokens: int) -> tuple[int, ...]:
    """Thresholds in these proportions that fill the budget, 1 at least: for when the paper's cannot be had."""
    whole = sum(share * volume for share, volume in zip(shares, volumes, strict=True))
    return tuple(max(1, floor(share * kv_tokens / whole)) for share in shares)
