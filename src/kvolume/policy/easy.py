"""Reservations as in EASY backfilling: the head waits for a reserved round, and others may fill the room before it.

Strict order leaves memory empty while a large head waits for room; plain backfilling fills it, but whoever is passed
over can wait for ever. With EASY (Lifka 1995, for batch systems) the head that does not fit gets the earliest round
in which it would, beside what runs now; one of the next requests may start before it iff that round stays the same.
So a head starts within the longest output of its turn, whatever arrives. With an arrival share f over smallest volume
first, exact lengths and o* the longest output, between the arrival and the start of j at most

    (Q_j + v_j)/f + (n_j + 2) M o*

volume is admitted, with Q_j and n_j - 1 the volume and number of those that wait when j arrives (ours; proof in
docs/policies.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from kvolume.policy.admission import within_budget
from kvolume.policy.contract import Plan, Request, Start, State
from kvolume.policy.policy import Policy

Batch = Sequence[tuple[int, int]]  # rounds left, and tokens held in the coming round


@dataclass(frozen=True)
class Reserving(Policy):
    """A policy whose head has a reservation; up to `depth` of those behind it are tried for the room before that."""

    depth: int = 8

    def plan(self, state: State) -> Plan:
        """As Policy.plan; a plan of its own, so that engines that know three answers only refuse it."""
        return super().plan(state)

    def _next(self, state: State) -> Start | None:
        if not state.waiting:
            return None
        queue = iter(self.order.queue(state))
        head = next(queue)
        if self.admission.admits(head.request, state):
            return head
        batch = [(r.left, r.holds) for r in state.running]
        reserved = rounds_until_fits(head.request, batch, state)
        for start in islice(queue, self.depth):
            request = start.request
            if self.admission.admits(request, state):
                beside = [*batch, (request.guess - request.kept, request.prompt + request.kept + 1)]
                if rounds_until_fits(head.request, beside, state) <= reserved:
                    return Start(request)
        return None


def rounds_until_fits(request: Request, batch: Batch, state: State) -> int:
    """The fewest rounds after which `request` could start by look-ahead beside a batch that runs on."""
    mine = (request.guess - request.kept, request.prompt + request.kept + 1)
    rounds = 0
    while True:
        later = [(left - rounds, holds + rounds) for left, holds in batch if left > rounds]
        if not later or within_budget([*later, mine], state.kv_tokens, state.block):
            return rounds
        rounds += 1
