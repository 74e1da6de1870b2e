"""Sorted-F: batches that are short for their size first (arXiv 2508.06133).

For a batch X that may start together (look-ahead), F(X) = (sum of o in X)/|X|^2. Phase 1: take the feasible batch of
smallest F (of equals the larger), append it to the order, sorted by o; again with the rest. Phase 2: run that order
by look-ahead. At most 48 times the optimum where the memory is large, all at 0.

(From memory, so open: the order is made over those who wait when somebody has arrived who is not in it. The exact
batch up to `exact` waiting requests, by dynamic programming; above, one found by local swaps from a greedy start.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvolume.policy.admission import LookAhead, within_budget
from kvolume.policy.contract import Plan, Request, Start, State
from kvolume.policy.eviction import Latest


@dataclass(frozen=True)
class Listed:
    """Base: an order over all who wait at once, run by look-ahead up to the first misfit."""

    name: str = "listed"

    def ranked(self, waiting: Sequence[Request], kv_tokens: int) -> list[Request]:
        """The waiting requests, next first."""
        raise NotImplementedError

    def plan(self, state: State) -> Plan:
        """As a policy of three answers, with the list as its order; the list is remembered until somebody is new."""
        state = state.copy()
        if state.need > state.kv_tokens:
            return Plan(evictions=tuple(Latest().victims(state)))
        if not state.waiting:
            return Plan()
        waiting = {r.id: r for r in state.waiting}
        order = state.memory if isinstance(state.memory, tuple) else ()
        if not waiting.keys() <= set(order):
            order = tuple(r.id for r in self.ranked(state.waiting, state.kv_tokens))
        starts: list[Start] = []
        for request in (waiting[id] for id in order if id in waiting):
            if not LookAhead().admits(request, state):
                break
            starts.append(Start(request))
            state.start(starts[-1])
        return Plan(tuple(starts), memory=order)


@dataclass(frozen=True)
class SortedF(Listed):
    """Batches in ascending order of F."""

    name: str = "sorted-f"
    exact: int = 40

    def ranked(self, waiting: Sequence[Request], kv_tokens: int) -> list[Request]:
        """Batch after batch of smallest F."""
        rest, order = list(waiting), list[Request]()
        while rest:
            small = len(rest) <= self.exact
            batch = best_batch(rest, kv_tokens) if small else improved(greedy(rest, kv_tokens), rest, kv_tokens)
            chosen = {r.id for r in batch}
            order += sorted(batch, key=lambda r: (r.guess, r.id))
            rest = [r for r in rest if r.id not in chosen]
        return order


def feasible(batch: Sequence[Request], kv_tokens: int) -> bool:
    """May all of them start together?"""
    return within_budget([(r.guess - r.kept, r.prompt + r.kept + 1) for r in batch], kv_tokens)


def measure(batch: Sequence[Request]) -> tuple[float, int]:
    """F, and of equals the larger first; of nobody: infinite."""
    return (sum(r.guess for r in batch) / len(batch) ** 2, -len(batch)) if batch else (float("inf"), 0)


def best_batch(waiting: Sequence[Request], kv_tokens: int) -> list[Request]:
    """The feasible batch of smallest F, exactly.

    Longest first: whoever joins is the shortest so far, so the only new test is at its last round, where all of the
    batch hold their prompts and its output: sum of s + |X| o <= M. So of all batches of one size only those matter of
    which no other has both a smaller sum of prompts and a smaller sum of outputs.
    """
    fronts: list[list[tuple[int, int, tuple[Request, ...]]]] = [[(0, 0, ())]]
    for r in sorted(waiting, key=lambda r: (-r.guess, r.id)):
        for size in range(len(fronts), 0, -1):
            joined = [(s + r.prompt, o + r.guess, (*batch, r)) for s, o, batch in fronts[size - 1]
                      if s + r.prompt + size * r.guess <= kv_tokens]  # fmt: skip
            if not joined:
                continue
            if size == len(fronts):
                fronts.append([])
            fronts[size] = _front(fronts[size] + joined)
    best = [list(min(front, key=lambda entry: entry[1])[2]) for front in fronts[1:]]
    return min(best, key=measure)


def _front(entries: list[tuple[int, int, tuple[Request, ...]]]) -> list[tuple[int, int, tuple[Request, ...]]]:
    """Those that no other beats in both sums."""
    front: list[tuple[int, int, tuple[Request, ...]]] = []
    for entry in sorted(entries, key=lambda e: e[:2]):
        if not front or entry[1] < front[-1][1]:
            front.append(entry)
    return front


def greedy(waiting: Sequence[Request], kv_tokens: int) -> list[Request]:
    """Shortest first while F falls, passing over those that do not fit."""
    batch: list[Request] = []
    for r in sorted(waiting, key=lambda r: (r.guess, r.prompt, r.id)):
        if measure([*batch, r]) < measure(batch) and feasible([*batch, r], kv_tokens):
            batch.append(r)
    return batch


def improved(batch: list[Request], waiting: Sequence[Request], kv_tokens: int) -> list[Request]:
    """The batch after local swaps: one in, one out, or both, while F falls."""
    while True:
        chosen = {r.id for r in batch}
        ins = [None, *(r for r in waiting if r.id not in chosen)]
        moves = ([x for x in batch if x is not out] + ([r] if r else []) for out in [None, *batch] for r in ins)
        now = measure(batch)
        better = next((new for new in moves if measure(new) < now and feasible(new, kv_tokens)), None)
        if better is None:
            return batch
        batch = better
