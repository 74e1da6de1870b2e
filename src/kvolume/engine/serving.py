"""vLLM's V1 scheduler (0.32), one step at a time, in plain Python: the specification.

A step: requests that have arrived join the queue; running requests get tokens and blocks in order, and where blocks
run out somebody is preempted; unless somebody was, waiting requests are admitted in the policy's order while tokens,
sequences and blocks last, each with what it finds of itself in the cache; the forward pass takes as long as the clock
says; requests whose known tokens are all computed get one more, and one for each of their drafts that is accepted;
those that got their last one leave. A request holds blocks for the tokens computed so far (`serving_memory`).
Source: Scheduler.schedule; tests/engine/test_serving_vllm.py compares every step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic
from typing import NamedTuple

import numpy as np

from kvolume.engine.instance import Instance
from kvolume.engine.result import NEVER, Episodes, Run, Segments
from kvolume.engine.served import Gaps, Served
from kvolume.engine.serving_config import ServingConfig, check_servable, own_gate
from kvolume.engine.serving_memory import Memory
from kvolume.engine.watch import Progress
from kvolume.geometry import attention_pairs
from kvolume.policy import Request, Running, Start, State
from kvolume.policy.policy import first_fit
from kvolume.policy.rules import PATIENCE, draft_accepted, first_random, raised


class Step(NamedTuple):
    """What one call of the scheduler decided."""

    tick: int  # when the step began
    tokens: dict[int, int]  # tokens computed for each scheduled request, in the order of scheduling
    preempted: tuple[int, ...]
    free: int  # blocks, after all were handed out


def run(instance: Instance, config: ServingConfig, progress: Progress | None = None) -> Run:
    """Serve everybody; `progress(done, total)` is called now and then."""
    server, told = Server(instance, config), monotonic()
    for _ in server.steps():
        if progress and monotonic() - told > 0.25:
            progress(int((server.finish != NEVER).sum()), len(instance))
            told = monotonic()
    if progress:
        progress(len(instance), len(instance))
    return server.result()


class Server:
    """One vLLM engine. `steps` runs it; a request is known by its rank in order of arrival."""

    def __init__(self, instance: Instance, config: ServingConfig) -> None:
        n = len(instance)
        self.i, self.config, self.clock = instance, config, instance.clock
        self.policy = check_servable(instance.policy)
        self.memory = Memory(instance, config)
        self.computed = self.memory.computed
        self.m = self.memory.size * config.block_size
        self.reserve = config.watermark_blocks(self.memory.size)
        self.state = State(0, self.m, random=first_random(0), block=config.block_size)
        self.tick = self.arrived = self.barren = 0
        self.prefill: dict[int, int] = {}  # tokens that each running request knew when it was admitted
        self.drafts: dict[int, int] = {}  # of running requests, for the next step
        self.prefilling = self.continued = False  # in this step: is somebody prefilled, does anybody go on?
        self.asked = False  # the policy, in this step
        self.budget = self.threshold = 0  # tokens that the step has left; most tokens of one request in it
        self.start, self.first, self.finish, self.last = (np.full(n, NEVER) for _ in range(4))
        self.joined, self.start_step = np.full(n, NEVER), np.full(n, NEVER)
        self.evicted = np.zeros(n, np.int64)
        self.stays: list[list[int]] = []  # request, begin, end, kept
        self.stay_of: dict[int, list[int]] = {}
        self.segments: list[tuple[int, int]] = []
        self.gaps: Counter[int] = Counter()
        self.passes = self.tokens_computed = self.recomputed = self.cached = 0
        self.most_computed = np.zeros(n, np.int64)
        self.kv_token_ticks = 0
        self.finished = True

    def steps(self) -> Iterator[Step]:
        """Run to the end, step by step."""
        state = self.state
        while self.arrived < len(self.i) or state.waiting or state.running:
            if not state.waiting and not state.running:
                self.tick = max(self.tick, int(self.i.arrival[self.arrived]))
            self.join()
            self.outgrow()
            others = len(state.running) + len(state.waiting) > 1
            self.threshold = self.config.long_prefill_token_threshold if others else 0
            self.budget = self.config.max_num_batched_tokens
            self.asked = False
            scheduled, preempted = self.continue_running()
            if preempted:
                self.barren += 1
                if self.barren >= PATIENCE:
                    self.finished = False
                    return
            else:
                self.admit(scheduled)
            yield Step(self.tick, scheduled, tuple(preempted), self.memory.free)
            self.advance(scheduled)

    def join(self) -> None:
        """Everybody who has arrived joins the queue, in order of arrival."""
        while self.arrived < len(self.i) and self.i.arrival[self.arrived] <= self.tick:
            self.state.waiting.append(self.i.request(self.arrived, self.memory.shared(self.arrived)))
            self.joined[self.arrived] = self.state.now
            self.arrived += 1
            self.barren = 0

    def outgrow(self) -> None:
        """Raise the guesses that have been used up."""
        for r in self.state.running:
            while r.guess <= r.generated:
                r.guess = raised(r.guess, int(self.i.most[r.request.id]))

    # --- running requests ------------------------------------------------------------------------------------

    def continue_running(self) -> tuple[dict[int, int], list[int]]:
        """Tokens and blocks for the running requests, in order of admission; who was preempted to make room."""
        running, scheduled, preempted = self.state.running, dict[int, int](), list[int]()
        at, self.prefilling = 0, False
        while at < len(running) and self.budget > 0:
            r = running[at]
            j = r.request.id
            tokens = self.chunk(self.known(r) + self.drafts.get(j, 0) - self.computed[j])
            while self.memory.more(j, tokens) > self.memory.free:
                victim = self.policy.eviction.choose(running)
                place = next(k for k, x in enumerate(running) if x is victim)
                at -= place < at
                self.budget += scheduled.pop(victim.request.id, 0)
                preempted.append(victim.request.id)
                self.preempt(victim)
                if victim is r:
                    return scheduled, preempted  # nobody behind it gets anything in this step
            self.prefilling |= self.computed[j] < self.prefill[j]
            self.memory.compute(j, tokens, self.known(r))
            scheduled[j] = tokens
            self.budget -= tokens
            at += 1
        return scheduled, preempted

    def known(self, r: Running) -> int:
        """Prompt and output tokens so far."""
        return int(self.i.prompt[r.request.id]) + r.generated

    def chunk(self, left: int) -> int:
        """How many of the tokens left to compute this step takes."""
        return min(self.capped(left), self.budget)

    def capped(self, left: int) -> int:
        """The tokens left to compute, capped for a long prefill."""
        return self.threshold if 0 < self.threshold < left else left

    def preempt(self, r: Running) -> None:
        """It gives its blocks back and waits; its tokens stay, their KV is computed again."""
        state, j = self.state, r.request.id
        self.leave(r)
        state.waiting.append(
            replace(r.request, kept=r.generated, guess=r.guess, admissions=r.request.admissions + 1)
        )
        state.waiting.sort(key=lambda request: request.id)
        self.evicted[j] += 1

    def leave(self, r: Running) -> None:
        """Out of the cache."""
        j = r.request.id
        self.state.running[:] = [x for x in self.state.running if x is not r]
        self.memory.leave(j)
        self.drafts.pop(j, None)
        self.stay_of.pop(j)[2] = self.state.now

    # --- waiting requests ------------------------------------------------------------------------------------

    def admit(self, scheduled: dict[int, int]) -> None:
        """Admit in the policy's order while tokens, sequences and blocks last; fills `scheduled`."""
        state, policy = self.state, self.policy
        self.continued = bool(scheduled)
        while self.budget > 0 and state.waiting and len(state.running) < self.config.max_num_seqs:
            start = first_fit(policy.order.queue(state), self.fits, policy.backfill)
            if start is None:
                return
            self.start_one(start, scheduled)

    def fits(self, request: Request) -> bool:
        """Does vLLM have room, and does the policy admit it? A policy is not asked when nothing runs."""
        config, running = self.config, self.state.running
        known = int(self.i.prompt[request.id]) + request.kept
        hit = self.memory.hit(request.id, known)
        have = len(hit) * config.block_size
        left = self.padded(known - have, have)
        if left > known - have and left > self.budget:
            return False
        if self.capped(left) > self.budget and not config.enable_chunked_prefill:
            return False
        need = self.memory.need(have + self.chunk(left) + config.num_lookahead_tokens, hit)
        if config.scheduler_reserve_full_isl:
            need = max(need, self.memory.need(known, hit))
        if need + (self.reserve if running else 0) > self.memory.free:
            return False
        return not running or not own_gate(self.policy) or self.admits(request)

    def padded(self, left: int, have: int) -> int:
        """Tokens to compute; with drafts, who is found in the cache up to its last token is taken for a decode."""
        drafts = self.config.num_speculative_tokens
        decodes = left == 1 and not self.prefilling and (have > 0 or self.continued)
        return 1 + drafts if drafts and decodes else left

    def admits(self, request: Request) -> bool:
        """Ask the policy. What is held beyond what it reckons with (shared blocks, drafts) is taken off its budget."""
        if not self.asked:
            self.asked = True
            running, block = self.state.running, self.config.block_size
            held = (self.memory.size - self.memory.free) * block
            self.state.kv_tokens = self.m - max(0, held - sum(r.holds - 1 + block for r in running))
        return self.policy.admission.admits(request, self.state)

    def start_one(self, start: Start, scheduled: dict[int, int]) -> None:
        """Into the cache, with what it finds there and as many tokens as it gets in this step."""
        j, state = start.request.id, self.state
        state.start(start)
        if self.start[j] == NEVER:
            self.start[j], self.start_step[j] = self.tick, state.now
        known = self.known(state.running[-1])
        self.memory.enter(j, self.memory.hit(j, known))
        have = self.computed[j]
        tokens = self.chunk(self.padded(known - have, have))
        self.memory.compute(j, tokens, known)
        self.prefill[j], scheduled[j] = known, tokens
        self.cached += have
        self.budget -= tokens
        self.stay_of[j] = [j, state.now, NEVER, start.request.kept]
        self.stays.append(self.stay_of[j])

    # --- the forward pass ------------------------------------------------------------------------------------

    def advance(self, scheduled: dict[int, int]) -> None:
        """The pass, if there is anything to compute; a token for everybody whose known tokens are all computed."""
        now = self.state.now
        self.segments.append((now, self.tick))
        self.state.now += 1
        if not scheduled:
            return
        before = {j: self.computed[j] - tokens for j, tokens in scheduled.items()}
        prefills = [j for j in scheduled if before[j] < self.prefill[j]]
        prefill = sum(scheduled[j] for j in prefills)
        pairs = sum(attention_pairs(before[j], self.computed[j]) for j in prefills)
        held = sum(self.computed[j] for j in scheduled)
        took = self.clock.iteration(len(scheduled), held, prefill, pairs)
        self.kv_token_ticks += held * took
        self.tick += took
        self.passes += 1
        self.tokens_computed += sum(scheduled.values())
        for j in scheduled:
            again = min(self.computed[j], int(self.most_computed[j])) - before[j]
            self.recomputed += max(0, again)
            self.most_computed[j] = max(self.most_computed[j], self.computed[j])
        for r in [r for r in self.state.running if r.request.id in scheduled]:
            if self.computed[r.request.id] >= self.known(r):
                self.sample(r)

    def sample(self, r: Running) -> None:
        """One more token, and more where drafts were scheduled and are accepted; the end after the last."""
        j, config = r.request.id, self.config
        drafts = self.computed[j] - self.known(r)
        accepted = 0
        if self.drafts.pop(j, 0):  # those of a padded request are no real ones
            while accepted < drafts and draft_accepted(j, r.generated + accepted, config.seed, config.accepts):
                accepted += 1
        self.computed[j] -= drafts - accepted
        self.most_computed[j] = self.computed[j]
        r.generated = min(r.generated + 1 + accepted, int(self.i.output[j]))
        if self.first[j] == NEVER:
            self.first[j] = self.tick
        else:
            self.gaps[self.tick - int(self.last[j])] += 1
        self.last[j] = self.tick
        if config.num_speculative_tokens:
            self.drafts[j] = config.num_speculative_tokens
        if r.generated == self.i.output[j]:
            self.leave(r)
            self.finish[j] = self.tick
            self.barren = 0

    def result(self) -> Run:
        """What an engine gives back."""
        for stay in self.stay_of.values():
            stay[2] = self.state.now
        lengths, weights = (np.array(list(x), np.int64) for x in (self.gaps.keys(), self.gaps.values()))
        gaps = Gaps(lengths, np.zeros_like(lengths), np.ones_like(lengths), weights)
        return Run(
            self.start, self.first, self.finish, self.evicted, self.start_step > self.joined,
            Episodes(*np.array(self.stays, np.int64).reshape(-1, 4).T),
            Segments(*np.array(self.segments, np.int64).reshape(-1, 2).T), self.kv_token_ticks, self.finished,
            Served(gaps, self.passes, self.tokens_computed, self.recomputed, self.cached),
        )  # fmt: skip
