"""GSA-Spec: GSA whose spare memory runs unfinished jobs speculatively (arXiv 2601.22996)."""

from __future__ import annotations

from dataclasses import dataclass

from kvolume.policy.contract import Plan, Request, Running, Start, State
from kvolume.policy.gsa import GSA
from kvolume.policy.staggered import Phase, next_phase


@dataclass(frozen=True, slots=True)
class Speculation:
    """What GSA-Spec remembers: the phase of the base schedule, and how many phases each unfinished job has had."""

    phase: Phase
    levels: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class GSASpec(GSA):
    """GSA as the base schedule, with guesses beside it: no job is later than under GSA (all at 0).

    Whoever waits and has no slot ahead in the phase may run speculatively, in order of arrival, if it fits in the
    coming round. When memory runs out only speculative runs are killed, the latest first. A job whose slot comes
    while it runs speculatively starts again in its slot, unless it has made the slice's tokens already: the slot is
    then bound to fail, and the run goes on. (Which jobs, in which order, and what becomes of a run when its slot
    comes: open in the paper.)
    """

    name: str = "gsa-spec"

    def plan(self, state: State) -> Plan:
        """GSA's plan for the base; then kill speculative runs until it fits, or start some if there is room."""
        memory = state.memory
        assert memory is None or isinstance(memory, Speculation)
        phase, levels = (memory.phase, dict(memory.levels)) if memory else (None, {})
        base = _base(state, phase)
        killed = [r for r in base if phase is not None and r.generated == phase.tau]
        running = {r.request.id: r for r in state.running if r not in killed}
        waiting = {r.id: r for r in [*state.waiting, *(r.evicted(keep=False) for r in killed)]}
        if phase is None or phase.over(state.now, len(killed) == len(base), {*waiting, *running}):
            jobs = [*waiting.values(), *(r.request for r in running.values())]
            levels = {r.id: levels.get(r.id, 0) for r in jobs}
            phase = next_phase(jobs, lambda r: levels[r.id], self.slice_of, state.now, state.kv_tokens)
            levels |= {job: levels[job] + 1 for job in phase.jobs} if phase else {}
        if phase is None:
            return Plan(evictions=tuple(killed), keep=False)
        begun, phase = phase.begun(state.now)
        starts = []
        for job in begun:
            if job in running and running[job].generated < phase.tau:
                killed.append(running[job])
                waiting[job] = running.pop(job).evicted(keep=False)
            if job in waiting:
                starts.append(Start(waiting[job]))
        spare = state.kv_tokens - sum(r.holds for r in running.values()) - sum(s.request.prompt + 1 for s in starts)
        if spare < 0:
            killed += _shortage([r for r in running.values() if r not in base], spare)
        else:
            ahead = {*begun, *phase.ahead}
            starts += _speculate([r for r in state.waiting if r.id not in ahead], spare)
        memory = Speculation(phase, tuple(levels.items()))
        return Plan(tuple(starts), (), tuple(killed), keep=False, wake_up=state.now + 1, memory=memory)


def _base(state: State, phase: Phase | None) -> list[Running]:
    """Who runs in its slot: it began when the slot did. A speculative run began before that, or after the slot."""
    if phase is None:
        return []
    due = {job: phase.due(j) for j, job in enumerate(phase.jobs[: phase.next])}
    return [r for r in state.running if due.get(r.request.id) == state.now - r.generated]


def _shortage(speculative: list[Running], spare: int) -> list[Running]:
    """The latest speculative runs, as many as make room."""
    killed = []
    while spare < 0:
        killed.append(speculative.pop())
        spare += killed[-1].holds
    return killed


def _speculate(waiting: list[Request], spare: int) -> list[Start]:
    """In order of arrival, up to the first that does not fit."""
    starts = []
    for request in waiting:
        spare -= request.prompt + 1
        if spare < 0:
            break
        starts.append(Start(request))
    return starts
