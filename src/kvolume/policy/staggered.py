"""Staggered pipelines: what GSA and GBA run their phases on (arXiv 2601.22996).

A phase runs its jobs one after the other at regular offsets, job j from round floor(j tau/k) on, and reserves a
slot of tau rounds for each: the staggered pipeline schedule of k slots (`rules.staggered_slots`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace

from kvolume.policy.contract import Request
from kvolume.policy.rules import staggered_slots


@dataclass(frozen=True, slots=True)
class Phase:
    """One pipeline: job `jobs[j]` has the rounds begin + floor(j tau/k) and the `tau` - 1 after it."""

    begin: int
    tau: int
    k: int
    jobs: tuple[int, ...]  # ids
    next: int = 0  # the first whose slot has not begun

    @property
    def end(self) -> int:
        """The first round after the last slot."""
        return self.due(len(self.jobs) - 1) + self.tau

    @property
    def ahead(self) -> tuple[int, ...]:
        """Jobs whose slots have not begun."""
        return self.jobs[self.next :]

    def over(self, now: int, idle: bool, unfinished: Container[int]) -> bool:
        """Has its last slot ended, or is nobody left to run in it (`idle`: nobody does now)?"""
        return now >= self.end or (idle and not any(job in unfinished for job in self.ahead))

    def due(self, j: int) -> int:
        """The round in which the slot of job j begins."""
        return self.begin + j * self.tau // self.k

    def begun(self, now: int) -> tuple[tuple[int, ...], Phase]:
        """The jobs whose slots begin now, and the phase after that."""
        j = self.next
        while j < len(self.jobs) and self.due(j) == now:
            j += 1
        return self.jobs[self.next : j], replace(self, next=j)


def next_phase(
    jobs: Iterable[Request], level: Callable[[Request], int], slice_of: Callable[[int], int], now: int, m: int
) -> Phase | None:
    """The phase of the lowest level that anybody is at, in order of arrival; None where there is nobody.

    All its jobs are given the room of the one with the largest prompt. A job that does not fit with a whole slice
    (s + tau > M) gets a phase of its own with a slice of M - s, in which it is certain to finish. With one common
    prompt that is the paper's rule, slices of at most M - s: two such slices never fit side by side.
    """
    levels = [(level(r), r) for r in jobs]
    if not levels:
        return None
    lowest = min(at for at, _ in levels)
    members = sorted((r for at, r in levels if at == lowest), key=lambda r: r.id)
    tau = slice_of(lowest)
    fitting = [r for r in members if r.prompt + tau <= m]
    if not fitting:
        return Phase(now, m - members[0].prompt, 1, (members[0].id,))
    k = staggered_slots(max(r.prompt for r in fitting), tau, m)
    return Phase(now, tau, k, tuple(r.id for r in fitting))


def geometric(first: float, growth: float, level: int) -> int:
    """The integer part of first * growth^level, 1 at least: the slices of GSA, the class bounds of GBA."""
    return max(1, int(first * growth**level))
