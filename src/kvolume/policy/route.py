"""Route: unequal prompts and unknown lengths (arXiv 2607.09248, with Lambda = M/4 and limits of 2^r rounds).

Every run has a limit; a request that is not finished by then is killed, starts again from zero, and its limit
doubles. Requests go through three branches:

  large            s > Lambda                          one after the other
  prompt-heavy     small, limit at most s              rectangles of width 2s, since o <= s means a peak of 2s
  response-heavy   small, once its limit exceeds s     phases of 2^r rounds in a staggered pipeline (staggered.py)

The first two start in order of width * limit, as long as the widths fit. The branches share the time: in stage q each
has a turn of 2^q rounds, q = 0, 1, 2, ..., and starts what ends within its turn.

Open in the paper, and settled here: the last prompt-heavy limit is s itself, the last of all what fits; a turn is
over as soon as nothing of its branch runs or can start; the stages begin anew when everybody who waits is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kvolume.policy.contract import Plan, Request, Running, Start, State
from kvolume.policy.staggered import Phase, next_phase

LARGE, PROMPT_HEAVY, RESPONSE_HEAVY = range(3)


@dataclass(frozen=True, slots=True)
class Turn:
    """The turn of a branch in stage q: it ends before round `end`. `phase`: the pipeline that runs in it."""

    q: int
    branch: int
    end: int
    phase: Phase | None = None


@dataclass(frozen=True)
class Route:
    """Three branches that share the time in turns of 2^q rounds; small: prompts up to `part` of the budget."""

    part: float = 0.25
    name: str = "route"

    def branch(self, r: Request, m: int) -> int:
        """Where a request belongs, after as many limits as it has been started."""
        if r.prompt > self.part * m:
            return LARGE
        outgrown = r.prompt == 0 or (r.admissions > 0 and 2 ** (r.admissions - 1) >= r.prompt)
        return RESPONSE_HEAVY if outgrown else PROMPT_HEAVY

    def limit(self, r: Request, m: int) -> int:
        """Rounds of its next run."""
        most = r.prompt if self.branch(r, m) == PROMPT_HEAVY else m - r.prompt
        return int(min(2**r.admissions, most))

    def width(self, r: Request, m: int) -> int:
        """KV tokens that a rectangle takes; a large one takes them all, as two never fit."""
        return m if self.branch(r, m) == LARGE else 2 * r.prompt

    def plan(self, state: State) -> Plan:
        """Kill at the limits; start what the turn's branch may, or pass the turn on."""
        turn, m = state.memory, state.kv_tokens
        assert turn is None or isinstance(turn, Turn)
        killed = tuple(r for r in state.running if turn and r.generated == self._slice(r, turn, m))
        running = [r for r in state.running if r not in killed]
        waiting = {r.id: r for r in [*state.waiting, *(r.evicted(keep=False) for r in killed)]}
        starts: list[Start] = []
        while waiting and not starts:
            if turn is not None:
                starts, turn = self._starts(turn, running, waiting, state)
                if starts or running or (turn.phase and turn.phase.ahead):
                    break
            turn = self._next(turn, waiting, state.now)
        return Plan(tuple(starts), (), killed, keep=False, wake_up=state.now + 1 if waiting else None, memory=turn)

    def _slice(self, r: Running, turn: Turn, m: int) -> int:
        return turn.phase.tau if turn.phase else self.limit(r.request, m)

    def _next(self, turn: Turn | None, waiting: Mapping[int, Request], now: int) -> Turn:
        """The next branch's turn, or the first one's in the next stage."""
        if turn is None or (turn.branch == RESPONSE_HEAVY and not any(r.admissions for r in waiting.values())):
            q, branch = (0, LARGE) if turn is None or turn.q > 0 else (1, LARGE)
        else:
            q, branch = (turn.q, turn.branch + 1) if turn.branch < RESPONSE_HEAVY else (turn.q + 1, LARGE)
        return Turn(q, branch, now + 2**q)

    def _starts(
        self, turn: Turn, running: list[Running], waiting: Mapping[int, Request], state: State
    ) -> tuple[list[Start], Turn]:
        """What the branch starts now, within what is left of its turn."""
        m, left = state.kv_tokens, turn.end - state.now
        mine = [r for r in waiting.values() if self.branch(r, m) == turn.branch]
        if turn.branch == RESPONSE_HEAVY:
            phase = turn.phase
            if phase is None or phase.over(state.now, not running, waiting):
                phase = next_phase(mine, lambda r: r.admissions, lambda level: int(2**level), state.now, m)
                if phase is None or phase.tau > left:
                    return [], replace(turn, phase=None)
                fitting = sum(phase.due(j) + phase.tau <= turn.end for j in range(len(phase.jobs)))
                phase = replace(phase, jobs=phase.jobs[:fitting])
            begun, phase = phase.begun(state.now)
            return [Start(waiting[job]) for job in begun], replace(turn, phase=phase)
        starts, free = [], m - sum(self.width(r.request, m) for r in running)
        for r in sorted(mine, key=lambda r: (self.width(r, m) * self.limit(r, m), r.id)):
            free -= self.width(r, m)
            if free < 0 or self.limit(r, m) > left:
                break
            starts.append(Start(r))
        return starts, turn
