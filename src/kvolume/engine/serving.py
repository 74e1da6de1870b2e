"""vLLM's V1 scheduler (0.32) without prefix caching, one step at a time, in plain Python: the specification.

A step: requests that have arrived join the queue; running requests get tokens and blocks in order, and where blocks
run out somebody is preempted; unless somebody was, waiting requests are admitted in the policy's order while tokens,
sequences and blocks last; the forward pass takes as long as the clock says; requests whose known tokens are all
computed get one more; those that got their last one leave. A request holds blocks for the tokens computed so far.
Source: Scheduler.schedule and KVCacheManager.allocate_slots; tests/engine/test_serving_vllm.py compares every step.
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
from kvolume.engine.watch import Progress
from kvolume.geometry import attention_pairs
from kvolume.policy import Request, Running, Start, State
from kvolume.policy.policy import first_fit
from kvolume.policy.rules import PATIENCE, first_random, raised


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
        self.free = instance.kv_tokens // config.block_size
        self.reserve = config.watermark_blocks(self.free)
        self.state = State(0, self.free * config.block_size, random=first_random(0), block=config.block_size)
        self.tick = self.arrived = self.barren = 0
        self.computed: dict[int, int] = {}  # tokens with KV, of each running request
        self.prefill: dict[int, int] = {}  # tokens that each running request knew when it was admitted
        self.budget = self.threshold = 0  # tokens that the step has left; most tokens of one request in it
        self.start, self.first, self.finish, self.last = (np.full(n, NEVER) for _ in range(4))
        self.joined, self.start_step = np.full(n, NEVER), np.full(n, NEVER)
        self.evicted = np.zeros(n, np.int64)
        self.stays: list[list[int]] = []  # request, begin, end, kept
        self.stay_of: dict[int, list[int]] = {}
        self.segments: list[tuple[int, int]] = []
        self.gaps: Counter[int] = Counter()
        self.passes = self.tokens_computed = self.recomputed = 0
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
            scheduled, preempted = self.continue_running()
            if preempted:
                self.barren += 1
                if self.barren >= PATIENCE:
                    self.finished = False
                    return
            else:
                self.admit(scheduled)
            yield Step(self.tick, scheduled, tuple(preempted), self.free)
            self.advance(scheduled)

    def join(self) -> None:
        """Everybody who has arrived joins the queue, in order of arrival."""
        while self.arrived < len(self.i) and self.i.arrival[self.arrived] <= self.tick:
            self.state.waiting.append(self.i.request(self.arrived))
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
        at = 0
        while at < len(running) and self.budget > 0:
            r = running[at]
            tokens = self.chunk(self.known(r) - self.computed[r.request.id])
            blocks = self.more_blocks(r, tokens)
            while blocks > self.free:
                victim = self.policy.eviction.choose(running)
                place = next(k for k, x in enumerate(running) if x is victim)
                at -= place < at
                self.budget += scheduled.pop(victim.request.id, 0)
                preempted.append(victim.request.id)
                self.preempt(victim)
                if victim is r:
                    return scheduled, preempted  # nobody behind it gets anything in this step
            self.free -= blocks
            self.computed[r.request.id] += tokens
            scheduled[r.request.id] = tokens
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

    def more_blocks(self, r: Running, tokens: int) -> int:
        """Blocks that so many tokens more would take."""
        computed, blocks = self.computed[r.request.id], self.config.blocks
        return int(blocks(computed + tokens) - blocks(computed))

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
        self.free += self.config.blocks(self.computed.pop(j))
        self.stay_of.pop(j)[2] = self.state.now

    # --- waiting requests ------------------------------------------------------------------------------------

    def admit(self, scheduled: dict[int, int]) -> None:
        """Admit in the policy's order while tokens, sequences and blocks last; fills `scheduled`."""
        state, policy = self.state, self.policy
        while self.budget > 0 and state.waiting and len(state.running) < self.config.max_num_seqs:
            start = first_fit(policy.order.queue(state), self.fits, policy.backfill)
            if start is None:
                return
            self.start_one(start, scheduled)

    def fits(self, request: Request) -> bool:
        """Does vLLM have room, and does the policy admit it? A policy is not asked when nothing runs."""
        known = int(self.i.prompt[request.id]) + request.kept
        if self.capped(known) > self.budget and not self.config.enable_chunked_prefill:
            return False
        whole = known if self.config.scheduler_reserve_full_isl else self.chunk(known)
        spare = self.reserve if self.state.running else 0
        if self.config.blocks(whole) + spare > self.free:
            return False
        return not self.state.running or not own_gate(self.policy) or self.policy.admission.admits(request, self.state)

    def start_one(self, start: Start, scheduled: dict[int, int]) -> None:
        """Into the cache, with as many tokens as it gets in this step."""
        j, state = start.request.id, self.state
        state.start(start)
        if self.start[j] == NEVER:
            self.start[j], self.start_step[j] = self.tick, state.now
        known = self.known(state.running[-1])
        tokens = self.chunk(known)
        self.computed[j], self.prefill[j], scheduled[j] = tokens, known, tokens
        self.budget -= tokens
        self.free -= self.config.blocks(tokens)
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
            if self.computed[r.request.id] == self.known(r):
                self.sample(r)

    def sample(self, r: Running) -> None:
        """One more token, and the end after the last."""
        j = r.request.id
        r.generated += 1
        if self.first[j] == NEVER:
            self.first[j] = self.tick
        else:
            self.gaps[self.tick - int(self.last[j])] += 1
        self.last[j] = self.tick
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
            Served(gaps, self.passes, self.tokens_computed, self.recomputed),
        )  # fmt: skip
