"""A-min: only an interval around each length is known, and reckoned with at its lower end (arXiv 2508.14544).

Each request has a bound, at first the lower end l of its interval. When memory runs out, requests leave in ascending
order of bound until it fits; they lose everything, and their bound becomes what they had made. Waiting requests are
admitted in ascending order of bound, by look-ahead on the bounds. The ratio to the optimum is O(log(u/l)).

Open in the paper, and settled here: a bound never falls, though who leaves may have made less; equal bounds leave
the latest first and start the earliest first; who has outgrown its bound is reckoned to end with the coming round;
nobody starts in a round in which somebody leaves. (A-max, its careful twin, is MC-SF on the upper ends.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from kvolume.policy.admission import within_budget
from kvolume.policy.contract import Plan, Request, Running, Start, State
from kvolume.predict import Knowledge, Lower


@dataclass(frozen=True)
class AMin:
    """Look-ahead on lower bounds that rise with every eviction."""

    knowledge: Knowledge = field(default_factory=Lower)
    name: str = "a-min"

    def plan(self, state: State) -> Plan:
        """Evict in ascending order of bound if memory runs out, else admit in ascending order of bound."""
        assert state.memory is None or isinstance(state.memory, tuple)
        raised: dict[int, int] = dict(state.memory or ())

        def bound(request: Request) -> int:
            return raised.get(request.id) or first_bound(request.predicted, request.prompt, state.kv_tokens)

        if state.need > state.kv_tokens:
            gone = _smallest(state, bound_of={r.request.id: bound(r.request) for r in state.running})
            here = {r.request.id for r in state.running} | {r.id for r in state.waiting}
            raised = {id: at for id, at in raised.items() if id in here}
            raised |= {r.request.id: max(bound(r.request), r.generated) for r in gone}
            return Plan(evictions=tuple(gone), keep=False, memory=tuple(raised.items()))
        batch = [(max(1, bound(r.request) - r.generated), r.holds) for r in state.running]
        starts: list[Start] = []
        for request in sorted(state.waiting, key=lambda r: (bound(r), r.id)):
            batch.append((bound(request), request.prompt + 1))
            if not within_budget(batch, state.kv_tokens):
                break
            starts.append(Start(request))
        return Plan(tuple(starts))


def first_bound(lower: float, prompt: int, kv_tokens: int) -> int:
    """The lower end of an interval in whole tokens, no more than fits."""
    return min(max(1, ceil(lower)), kv_tokens - prompt)


def _smallest(state: State, bound_of: dict[int, int]) -> list[Running]:
    """Who leaves: smallest bound first, the latest of equals, until the rest fits."""
    order = sorted(enumerate(state.running), key=lambda item: (bound_of[item[1].request.id], -item[0]))
    need, gone = state.need, []
    for _, r in order:
        if need <= state.kv_tokens:
            break
        need -= r.holds
        gone.append(r)
    return gone
