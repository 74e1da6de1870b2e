"""What only the serving engine can tell: the gaps between tokens, and how much was computed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Gaps(NamedTuple):
    """Times between tokens of one request, pooled over all requests, as runs: never one entry for each token.

    Run j stands for `weight[j]` gaps of each of the lengths first[j] + k * increment[j] ticks, k = 0..steps[j]-1:
    a stretch of decode steps of an unchanged batch, in which each step reads `weight` more KV tokens than the last.
    """

    first: Ints
    increment: Ints
    steps: Ints
    weight: Ints

    def counted(self) -> tuple[Ints, Ints]:
        """All lengths that occur, ascending, and how often each does."""
        run = np.repeat(np.arange(self.first.size), self.steps)
        k = np.arange(run.size) - np.repeat(np.cumsum(self.steps) - self.steps, self.steps)
        length = self.first[run] + k * self.increment[run]
        lengths, where = np.unique(length, return_inverse=True)
        return lengths, np.bincount(where, self.weight[run], lengths.size).astype(np.int64)


class Served(NamedTuple):
    """Counts of a run of the serving engine."""

    gaps: Gaps
    steps: int  # forward passes
    computed_tokens: int  # prefilled and decoded, those computed again included
    recomputed_tokens: int  # computed again because of preemptions
    cached_tokens: int = 0  # found in the prefix cache at an admission
