"""GSA: geometric slicing for lengths that nobody knows (arXiv 2601.22996).

Phase p gives every unfinished job one slice of tau_p = alpha^p tau_0 rounds (its integer part) under the staggered
pipeline schedule, from scratch; a job that does not finish in its slice is killed and loses everything. The slot
stays reserved for the whole slice, and a phase ends with its last slot, or when none of its jobs is left. All at 0,
one prompt length: at most 61.92 times the optimum (alpha = 1.7676), 32 where the memory is large (alpha = 2).

Open in the paper, and settled here: jobs that arrive later are at phase 0, and the next phase is always the lowest
that anybody waits for, so newcomers are tried first (all at 0, this is the paper's order). Unequal prompts: see
`staggered.next_phase`; or use Route, which is made for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kvolume.policy.contract import Plan, Request, Start, State
from kvolume.policy.staggered import Phase, geometric, next_phase


@dataclass(frozen=True)
class GSA:
    """Geometric slicing: `alpha` > 1 is the growth of the slices, `tau0` >= 1 the first, in rounds."""

    alpha: float = 2.0
    tau0: float = 1.0
    name: str = "gsa"

    def slice_of(self, level: int) -> int:
        """Rounds of a slice in phase `level`."""
        return geometric(self.tau0, self.alpha, level)

    def level(self, request: Request) -> int:
        """The phase that a request is at: how many slices it has had."""
        return request.admissions

    def phase(self, jobs: Iterable[Request], state: State) -> Phase | None:
        """The phase that begins now."""
        return next_phase(jobs, self.level, self.slice_of, state.now, state.kv_tokens)

    def plan(self, state: State) -> Plan:
        """Kill those whose slices are over, begin a phase where none runs, start the jobs whose slots begin."""
        phase = state.memory
        assert phase is None or isinstance(phase, Phase)
        killed = tuple(r for r in state.running if phase is not None and r.generated == phase.tau)
        waiting = {r.id: r for r in [*state.waiting, *(r.evicted(keep=False) for r in killed)]}
        if phase is None or phase.over(state.now, len(killed) == len(state.running), waiting):
            phase = self.phase(waiting.values(), state)
        if phase is None:
            return Plan(evictions=killed, keep=False)
        begun, phase = phase.begun(state.now)
        starts = tuple(Start(waiting[job]) for job in begun)
        return Plan(starts, (), killed, keep=False, wake_up=state.now + 1, memory=phase)
