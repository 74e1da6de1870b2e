"""Families of instances that are known to be bad for some policy, each in any size.

A trap may carry the starts of a good schedule, where no policy of the portfolio finds one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvolume.policy.rules import staggered_slots
from kvolume.workload import Workload

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trap:
    """One instance of a family."""

    name: str
    workload: Workload
    kv_tokens: int
    good_start: Ints | None = None


def _burst(lengths: list[tuple[int, int]]) -> Workload:
    s, o = np.array(lengths, np.int64).T
    return Workload(np.zeros(s.size, np.int64), s, o)


def long_first(size: int) -> Trap:
    """A few long requests, then many of one token: the shape of the instance in GSA's paper, peaks of M/2."""
    return Trap("long ones first", _burst([(96, 160)] * size + [(96, 1)] * (32 * size)), 512)


def wide_and_short(size: int) -> Trap:
    """SJF's: masses of (M/4 - 1, 1), then masses of (0, 2), all of which the budget could hold at once (SVF paper)."""
    m = 16 * size * size
    return Trap("wide and short first", _burst([(m // 4 - 1, 1)] * (4 * size) + [(0, 2)] * (4 * size * size)), m)


def one_token(size: int) -> Trap:
    """Everybody makes one token: a first slice or class that is longer reserves memory for nothing."""
    return Trap("one token each", _burst([(8, 1)] * (8 * size)), 64)


def late_crowd(size: int) -> Trap:
    """A long request fills the memory; a crowd comes one round later (the Omega(sqrt n) family of MC-SF's paper).

    The good schedule lets the crowd go first, which nobody can know before it comes.
    """
    m = size * (size + 1)
    rows = [(0, m - size, size)] + [(1, size, 1)] * size
    a, s, o = np.array(rows, np.int64).T
    start = np.array([2] + [1] * size, np.int64)
    return Trap("a crowd one round late", Workload(a, s, o), m, start)


def same_bit(size: int) -> Trap:
    """Lengths just within one class: the bit says the same of one token and of sqrt T."""
    t = size * size
    rows = [(0, size)] * size + [(1, 1)] * (4 * size) + [(0, t)] * 2 + [(1, size + 1)] * (2 * size)
    return Trap("one bit for both", _burst(rows), 2 * t)


def staircase(size: int) -> Trap:
    """Volumes that double: each request blocks the memory that the next, only a little larger in volume, needs."""
    rows = [(4 * size - (1 << k), 1 << k) for k in range(size.bit_length())] * 3
    return Trap("staircase", _burst(rows), 8 * size)


def identical(size: int) -> Trap:
    """Equal requests of no prompt: in batches the memory is half empty on average, staggered it is full.

    The good schedule is the staggered pipeline of GSA's paper: request j starts in round floor(j tau / k).
    """
    tau, m, n = 32, 32 * size, 40 * size
    k = staggered_slots(0, tau, m)
    return Trap("identical requests", _burst([(0, tau)] * n), m, np.arange(n, dtype=np.int64) * tau // k)


SIZES = (2, 4, 8, 16)
FAMILIES: dict[Callable[[int], Trap], tuple[int, ...]] = {
    long_first: SIZES, wide_and_short: SIZES, one_token: SIZES, late_crowd: SIZES, same_bit: SIZES, staircase: SIZES,
    identical: (4, 10, 100),
}  # fmt: skip


def traps() -> Iterator[Trap]:
    """Every family in its sizes."""
    for family, sizes in FAMILIES.items():
        yield from map(family, sizes)
