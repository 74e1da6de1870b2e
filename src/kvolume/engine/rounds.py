"""The unit-step model, one round at a time, in plain Python: the specification of every other engine.

In round t (of whatever length the clock gives it): requests that have arrived join the queue; the policy plans;
evictions, then starts are carried out; every running request that is not paused makes one token; those that made
their last one leave at the end of the round. The plan's memory is carried to the next plan, and never looked at.
Where nobody works, time passes to the next arrival, or round by round if the plan names a round to wake up in.
Each invariant of ARCHITECTURE.md is asserted as it goes.
"""

from __future__ import annotations

from time import monotonic

import numpy as np

from kvolume.engine.instance import Instance
from kvolume.engine.result import NEVER, Episodes, Run, Segments, Steps
from kvolume.engine.watch import Progress
from kvolume.errors import PolicyError
from kvolume.geometry import attention_pairs
from kvolume.policy import Plan, Policy, Running, Start, State
from kvolume.policy.eviction import UNLIMITED
from kvolume.policy.rules import first_random, raised


def run(instance: Instance, progress: Progress | None = None) -> Run:
    """Drive any policy through the instance, round by round."""
    return _Rounds(instance, progress).run()


class _Rounds:
    def __init__(self, instance: Instance, progress: Progress | None) -> None:
        n, policy = len(instance), instance.policy
        self.i, self.policy, self.clock = instance, policy, instance.clock
        seed = policy.seed if isinstance(policy, Policy) else 0
        rule = policy.eviction if isinstance(policy, Policy) else policy
        self.patience = getattr(rule, "patience", UNLIMITED)
        self.state = State(0, instance.kv_tokens, random=first_random(seed))
        self.progress, self.told = progress, monotonic()
        self.tick = 0
        self.arrived = 0  # requests 0..arrived-1 have arrived
        self.barren = 0  # evicting rounds since the last completion or arrival
        self.start, self.first = np.full(n, NEVER), np.full(n, NEVER)
        self.finish, self.joined = np.full(n, NEVER), np.full(n, NEVER)  # joined: the first plan since it arrived
        self.evicted = np.zeros(n, np.int64)
        self.stays: list[list[int]] = []  # request, begin, end, kept
        self.stay_of: dict[int, list[int]] = {}
        self.segments: list[tuple[int, int]] = []
        self.held: list[tuple[int, int]] = []  # round, KV tokens
        self.pauses = False
        self.kv_token_ticks = 0

    def run(self) -> Run:
        finished = True
        while self.arrived < len(self.i) or self.state.waiting or self.state.running:
            if not self.state.waiting and not self.state.running:
                self.held.append((self.state.now, 0))
                self.idle_until(int(self.i.arrival[self.arrived]))
            self.join()
            self.outgrow()
            plan = self.policy.plan(self.state)
            self.state.memory = self.state.memory if plan.memory is None else plan.memory
            self.evict(plan)
            self.admit(plan)
            if self.barren >= self.patience:
                finished = False
                break
            if len(self.state.running) == len(plan.pauses) and not plan.evictions and plan.wake_up is None:
                if self.arrived < len(self.i):  # nobody works, though somebody is here: wait for company
                    self.pauses |= bool(plan.pauses)
                    self.held.append((self.state.now, self.state.need - len(plan.pauses)))
                    self.idle_until(int(self.i.arrival[self.arrived]))
                elif not self.state.closed:
                    self.state.closed = True
                else:
                    finished = False
                    break
                continue
            self.advance(plan)
            self.tell()
        for stay in self.stay_of.values():
            stay[2] = self.state.now
        columns = np.array(self.stays, np.int64).reshape(-1, 4).T
        segments = None
        if not self.clock.unit:
            segments = Segments(*np.array(self.segments, np.int64).reshape(-1, 2).T)
        return Run(
            self.start, self.first, self.finish, self.evicted, self.start > self.joined,
            Episodes(*columns), segments, self.kv_token_ticks, finished, held=self.held_steps(),
        )  # fmt: skip

    def held_steps(self) -> Steps | None:
        """KV tokens round by round, where pauses keep them from following from the stays."""
        if not self.pauses:
            return None
        at, base = np.array([*dict(self.held).items(), (self.state.now, 0)], np.int64).T
        return Steps(at, base, np.zeros_like(at))

    def tell(self) -> None:
        """Report how many have finished, four times a second."""
        if self.progress is not None and monotonic() - self.told > 0.25:
            self.told = monotonic()
            self.progress(int((self.finish != NEVER).sum()), len(self.i))

    def idle_until(self, tick: int) -> None:
        if tick > self.tick:
            self.tick = tick
            self.state.now = tick if self.clock.unit else self.state.now

    def join(self) -> None:
        """Everybody who has arrived joins the queue, in order of arrival."""
        i = self.i
        while self.arrived < len(i) and i.arrival[self.arrived] <= self.tick:
            j = self.arrived
            self.state.waiting.append(i.request(j))
            self.joined[j] = self.tick
            self.arrived += 1
            self.barren = 0

    def outgrow(self) -> None:
        """Raise the guesses that have been used up."""
        for r in self.state.running:
            while r.guess <= r.generated:
                r.guess = raised(r.guess, int(self.i.most[r.request.id]))

    def evict(self, plan: Plan) -> None:
        state = self.state
        if plan.random is not None:
            state.random = plan.random
        for victim in plan.evictions:
            state.running = [r for r in state.running if r is not victim]
            request = victim.evicted(plan.keep)
            state.waiting.append(request)
            self.stay_of.pop(request.id)[2] = state.now
            self.evicted[request.id] += 1
        if plan.evictions:
            state.waiting.sort(key=lambda r: r.id)
            self.barren += 1

    def admit(self, plan: Plan) -> None:
        state = self.state
        for start in plan.starts:
            if start.request not in state.waiting:
                raise PolicyError(
                    f"Policy '{self.policy.name}' starts request {start.request.id}, which is not waiting."
                )
            state.start(Start(*start))
            request = start.request
            if self.start[request.id] == NEVER:
                self.start[request.id] = self.tick
            stay = [request.id, state.now, NEVER, request.kept]
            self.stays.append(stay)
            self.stay_of[request.id] = stay
        need = state.need - len(plan.pauses)
        if need > self.i.kv_tokens:
            raise PolicyError(
                f"Policy '{self.policy.name}' needs {need} of {self.i.kv_tokens} KV tokens in round {state.now}."
            )

    def advance(self, plan: Plan) -> None:
        """One iteration: prefill those that just started, one token for everybody who is not paused."""
        state = self.state
        paused = {id(r) for r in plan.pauses}
        working = [r for r in state.running if id(r) not in paused]
        prefill = [s.request.prompt + s.request.kept for s in plan.starts]
        batch = sum(r.holds for r in working)
        held = batch + sum(r.holds - 1 for r in state.running if id(r) in paused)
        pairs = sum(attention_pairs(0, n) for n in prefill)
        took = self.clock.iteration(len(working), batch, sum(prefill), pairs)  # who is paused is not read
        self.held.append((state.now, held))
        self.pauses |= bool(paused)
        self.segments.append((state.now, self.tick))
        self.kv_token_ticks += held * took
        self.tick += took
        state.now += 1
        for r in working:
            r.generated += 1
            j = r.request.id
            if self.first[j] == NEVER:
                self.first[j] = self.tick
            if r.generated == self.i.output[j]:
                self.complete(r)

    def complete(self, r: Running) -> None:
        state = self.state
        state.running = [x for x in state.running if x is not r]
        self.finish[r.request.id] = self.tick
        self.stay_of.pop(r.request.id)[2] = state.now
        self.barren = 0
