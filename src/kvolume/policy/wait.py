"""WAIT and Nested WAIT: batches that wait until enough newcomers are there (arXiv 2504.11320).

WAIT knows every request's type, Nested WAIT only the distribution of lengths. Both keep one threshold for each group:
a type, or a segment of stages (rounds, counted from a request's first). A group may run its next iteration only if
at least n newcomers stand at its entry, takes n of them at most, and is paused otherwise, with its KV cache. While no
group may run, the machine waits. So it stalls at low load: that is the paper's own finding; `waits=False` is the cap
without the waiting. (The paper's prompt and decode iterations in our terms: fluid.py.)

Beyond the paper, whose memory never runs out because its condition is checked first: newcomers start, in order of
arrival, only while they fit into the coming round; when memory runs out the latest start leaves and keeps its tokens;
if nobody at all can move, everybody in the cache does. When nothing more arrives, nobody waits for company any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kvolume.policy.contract import Plan, Planner, Request, Running, Setting, Start, State
from kvolume.policy.thresholds import Groups, segments_of, types_of


@dataclass(frozen=True)
class WAIT:
    """Thresholds by type. `most` types at most; `waits`: hold groups back (else the thresholds are only caps).

    `rates`: `known`, those of each block of `block` arrivals (0: of all); or `estimated` from the block before.
    """

    most: int = 8
    rates: str = "known"
    block: int = 0
    waits: bool = True
    name: str = "wait"
    groups: Groups | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The name, marked where rates are those of the very workload that it serves."""
        return f"{self.name} (in sample)" if self.rates == "known" else self.name

    def fit(self, setting: Setting) -> Planner:
        """With types and thresholds made from the requests' predicted lengths and arrivals."""
        return replace(self, groups=types_of(setting, self.most, self.rates == "known", self.block))

    def plan(self, state: State) -> Plan:
        """Pause the groups that lack newcomers, start newcomers of the others."""
        assert self.groups is not None, "WAIT is used before fit()"
        seen = max((r.id for r in state.waiting), default=-1)
        seen = max(seen, state.memory if isinstance(state.memory, int) else -1)
        n = self.groups.at(seen)
        queues: list[list[Request]] = [[] for _ in n]
        for request in state.waiting:
            queues[self.groups.entry(request)].append(request)
        working, active = self.working(state, queues, n)
        used = _need(state.running, working)
        if used > state.kv_tokens:
            return _overflow(state, working, seen)
        starts: list[Start] = []
        misfit = False
        for g in active:
            for request in queues[g][: n[g]]:
                used += request.prompt + request.kept + 1
                misfit = misfit or used > state.kv_tokens
                if misfit:
                    break
                starts.append(Start(request))
        if misfit and not starts and not working:
            return _overflow(state, list(state.running), seen)
        moves = {id(r) for r in working}
        return Plan(tuple(starts), tuple(r for r in state.running if id(r) not in moves), memory=seen)

    def working(
        self, state: State, queues: list[list[Request]], n: list[int]
    ) -> tuple[list[Running], list[int]]:
        """Who runs in the coming round, and the groups that take newcomers from the queue.

        Of each type that runs, all do: as long as thresholds do not fall, no stage ever holds more than n.
        """
        assert self.groups is not None
        if state.closed or not self.waits:
            return list(state.running), list(range(len(n)))
        active = [g for g in range(len(n)) if len(queues[g]) >= n[g]]
        return [r for r in state.running if self.groups.entry(r.request) in active], active


@dataclass(frozen=True)
class NestedWAIT(WAIT):
    """Thresholds by segment of the output, lengths unknown: `most` segments at most.

    Segment 1 takes newcomers; who has made all its tokens and is not finished stands at the entry of the next
    segment, paused. The longest prefix of segments with enough at their entries runs. `cap` > 0: the practical
    tuning, equal segments whose thresholds sum to `cap` requests over all rounds. `prompt`: `max`, as in the paper
    (the longest prompt), or `mean`.
    """

    cap: int = 0
    prompt: str = "max"
    name: str = "nested-wait"

    def fit(self, setting: Setting) -> Planner:
        groups = segments_of(setting, self.most, self.rates == "known", self.block, self.cap, self.prompt == "max")
        return replace(self, groups=groups)

    def working(
        self, state: State, queues: list[list[Request]], n: list[int]
    ) -> tuple[list[Running], list[int]]:
        """Of each segment that runs, all inside, and the first n at its entry in order of admission."""
        assert self.groups is not None
        inside: list[list[Running]] = [[] for _ in n]
        entry: list[list[Running]] = [[] for _ in n]
        for r in state.running:
            k, at_entry = self.groups.segment(r.generated)
            (entry if at_entry else inside)[k].append(r)
        runs = len(n)
        if not (state.closed or not self.waits):
            counts = [len(queues[0]), *(len(e) for e in entry[1:])]
            runs = next((k for k in range(len(n)) if counts[k] < n[k]), len(n))
        working = [r for k in range(runs) for r in [*inside[k], *entry[k][: n[k]]]]
        return working, [0] if runs else []


def _need(running: list[Running], working: list[Running]) -> int:
    """KV tokens of the coming round: who is paused gets no new one."""
    return sum(r.holds - 1 for r in running) + len(working)


def _overflow(state: State, working: list[Running], seen: int) -> Plan:
    """No starts; the latest leave until those who work fit beside those who are paused."""
    stay, gone = list(state.running), []
    moves = {id(r) for r in working}
    need = _need(stay, working)
    while need > state.kv_tokens:
        victim = stay.pop()
        need -= victim.holds - (id(victim) not in moves)
        gone.append(victim)
    return Plan((), tuple(r for r in stay if id(r) not in moves), tuple(gone), memory=seen)


