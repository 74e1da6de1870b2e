"""Sorted-LP and LP-swap: orders from the linear relaxation of the hindsight program (arXiv 2508.06133).

Sorted-LP starts requests in order of the relaxation's mean start, sum of t x[i,t], by look-ahead; LP-swap takes that
order as the start of Sorted-F's local swaps. They live here and not among the policies, which know no solver; the
catalogue names them and loads them when they are asked for. (From memory, so open.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kvolume.bound.program import _matrices, _scipy, build
from kvolume.errors import SolverError
from kvolume.policy import Planner, Request
from kvolume.policy.sorted_f import Listed, feasible, improved


@dataclass(frozen=True)
class SortedLP(Listed):
    """Those who wait, by their mean start in the relaxation, as if the machine were empty."""

    name: str = "sorted-lp"

    def ranked(self, waiting: Sequence[Request], kv_tokens: int) -> list[Request]:
        """Solve the relaxation; ties by length. Raises InputError where it is too large."""
        s = np.array([r.prompt + r.kept for r in waiting], np.int64)
        o = np.array([r.guess - r.kept for r in waiting], np.int64)
        program = build(np.zeros_like(s), s, o, kv_tokens)
        once, memory = _matrices(program, s.size)
        found = _scipy("The policy sorted-lp").linprog(
            program.cost, A_ub=memory, b_ub=np.full(program.rounds, kv_tokens), A_eq=once, b_eq=np.ones(s.size),
            bounds=(0, None), method="highs",
        )  # fmt: skip
        if found.status != 0:
            raise SolverError(f"The LP relaxation was not solved: {found.message}")
        start = np.bincount(program.request, program.start * np.asarray(found.x), s.size).round(6)
        return [waiting[j] for j in np.lexsort((o, start)).tolist()]


@dataclass(frozen=True)
class LPSwap(SortedLP):
    """Batches that begin with the longest prefix of the relaxation's order, improved by local swaps."""

    name: str = "lp-swap"

    def ranked(self, waiting: Sequence[Request], kv_tokens: int) -> list[Request]:
        """Batch after batch, each sorted by length."""
        rest, order = super().ranked(waiting, kv_tokens), list[Request]()
        while rest:
            size = next((k for k in range(2, len(rest) + 1) if not feasible(rest[:k], kv_tokens)), len(rest) + 1) - 1
            batch = improved(rest[:size], rest, kv_tokens)
            chosen = {r.id for r in batch}
            order += sorted(batch, key=lambda r: (r.guess, r.id))
            rest = [r for r in rest if r.id not in chosen]
        return order


def sorted_lp(values: Mapping[str, str]) -> Planner:
    """The policy sorted-lp."""
    return SortedLP()


def lp_swap(values: Mapping[str, str]) -> Planner:
    """The policy lp-swap."""
    return LPSwap()
