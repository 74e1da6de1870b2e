"""The three answers, made into a plan: written once, for every order, admission and eviction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kvolume.policy.admission import Admission, LookAhead
from kvolume.policy.contract import Plan, Request, Start, State
from kvolume.policy.eviction import Eviction, Latest
from kvolume.policy.order import Order
from kvolume.predict import Exact, Knowledge


@dataclass(frozen=True)
class Policy:
    """An order, an admission rule and an eviction rule.

    `Policy(order=Volume())` is SVF. The queue is served strictly in order: the first request that does not fit
    ends the admissions of a round, unless `backfill` allows that many misfits to be passed over. `knowledge` says
    how much of a predicted length the policy is told (one bit, say).
    """

    order: Order
    admission: Admission = field(default_factory=LookAhead)
    eviction: Eviction = field(default_factory=Latest)
    backfill: int = 0
    knowledge: Knowledge = field(default_factory=Exact)
    seed: int = 0
    name: str = "custom"

    @property
    def label(self) -> str:
        """The name, marked where the policy uses statistics of the very workload that it serves."""
        return f"{self.name} (in sample)" if self.order.in_sample or self.knowledge.in_sample else self.name

    def plan(self, state: State) -> Plan:
        """Evict if the running requests outgrow the budget, else admit in order while it fits."""
        state = state.copy()
        if state.need > state.kv_tokens:
            victims = self.eviction.victims(state)
            return Plan(evictions=tuple(victims), keep=self.eviction.keep, random=state.random)
        starts: list[Start] = []
        while (start := self._next(state)) is not None:
            state.start(start)
            starts.append(start)
        return Plan(starts=tuple(starts))

    def _next(self, state: State) -> Start | None:
        """The first of the queue that may start now, with at most `backfill` misfits before it."""
        if not state.waiting:
            return None
        return first_fit(self.order.queue(state), lambda request: self.admission.admits(request, state), self.backfill)


def first_fit(queue: Iterable[Start], admits: Callable[[Request], bool], backfill: int) -> Start | None:
    """The first of a queue that is admitted, with at most `backfill` misfits before it."""
    for misfits, start in enumerate(queue):
        if misfits > backfill:
            return None
        if admits(start.request):
            return start
    return None
