"""GBA: geometric batches for known lengths (arXiv 2601.22996).

Jobs are put into classes by length, with bounds beta, alpha beta, alpha^2 beta, ... (integer parts), and the
classes run one after the other, shortest first, each under the staggered pipeline schedule with its bound as the
slot. All at 0, one prompt length: at most 10.67 times the optimum (alpha = 4/3), 6.75 where the memory is large
(alpha = 3/2).

Open in the paper, and settled here: with arrivals over time the next phase is the lowest class that anybody waits
in; unequal prompts as in `staggered.next_phase`. A length that was predicted too short: the job is killed at the
end of its slot and comes back in the class of its raised guess.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kvolume.policy.contract import Plan, Request, Running, Start, State
from kvolume.policy.eviction import Latest
from kvolume.policy.gsa import GSA
from kvolume.policy.staggered import Phase, geometric


@dataclass(frozen=True)
class GBA(GSA):
    """Classes of lengths up to `beta` * `alpha`^c, one after the other; `alpha` > 1, `beta` >= 1."""

    alpha: float = 4 / 3
    beta: float = 1.0
    name: str = "gba"

    def slice_of(self, level: int) -> int:
        """The longest output of class `level`."""
        return geometric(self.beta, self.alpha, level)

    def level(self, request: Request) -> int:
        """The class of a request."""
        level = 0
        while self.slice_of(level) < request.guess:
            level += 1
        return level


@dataclass(frozen=True)
class GBAD(GBA):
    """GBA that starts the next job as early as the rest of the timetable can be moved up with it.

    With exact lengths and all at 0 nobody is later than under GBA: what is left of the timetable always fits beside
    those that run, and it only ever moves to the front. A next phase begins as soon as all jobs of this one have
    started and it fits likewise. With lengths predicted too short memory can run out; then the latest start is
    killed. (How early: open in the paper.)
    """

    name: str = "gba-d"

    def plan(self, state: State) -> Plan:
        """Start jobs of the timetable while all of it can move up to now."""
        phase = state.memory
        assert phase is None or isinstance(phase, Phase)
        if state.need > state.kv_tokens:
            return Plan(evictions=tuple(Latest(keep=False).victims(state)), keep=False)
        waiting = {r.id: r for r in state.waiting}
        running = list(state.running)
        starts: list[Start] = []
        while waiting:
            ahead = phase if phase and phase.ahead else self.phase(waiting.values(), state)
            assert ahead is not None  # somebody waits
            moved = replace(ahead, begin=ahead.begin - ahead.due(ahead.next) + state.now)
            if not timetable_fits(running, moved, waiting, state.kv_tokens):
                break
            request = waiting.pop(moved.jobs[moved.next])
            starts.append(Start(request))
            running.append(Running(request, 0, request.guess))
            phase = replace(moved, next=moved.next + 1)
        return Plan(tuple(starts), memory=phase)  # a phase of which nobody has started is made anew next time


def timetable_fits(running: list[Running], phase: Phase, waiting: dict[int, Request], m: int) -> bool:
    """Do the jobs ahead, the first of them starting now, fit beside those that run, as long as these run?

    After that the pipeline is alone and fits by itself. What is held rises between last rounds, so only these, and
    the last round of those that run now, need a test. Rounds are counted from now.
    """
    until = max((r.left for r in running), default=0)
    batch = [(0, r.left, r.holds) for r in running]
    now = phase.due(phase.next)
    for j in range(phase.next, len(phase.jobs)):
        if phase.due(j) - now >= until:
            break
        request = waiting[phase.jobs[j]]
        batch.append((phase.due(j) - now, phase.due(j) - now + request.guess, request.prompt + 1))
    return all(
        sum(holds + x - begin for begin, end, holds in batch if begin <= x < end) <= m
        for x in {min(end, until) - 1 for _, end, _ in batch}
    )
