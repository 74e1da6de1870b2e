"""`engine="vllm"`: the scheduler of the vLLM that is installed, with a simulated GPU, on our clock.

The requests of an instance go through vLLM's own Scheduler and KV-cache manager under the plug-in; the clock says how
long each forward pass takes. What a step costs here beside vLLM's own work does not grow with the batch, except in
the rare steps in which somebody is preempted or gets nothing: all else is kept up from who joined and who left.
"""

from __future__ import annotations

import os
from collections import Counter
from time import monotonic
from typing import Any

import numpy as np

from kvolume.engine.instance import Instance
from kvolume.engine.result import NEVER, Episodes, Run, Segments
from kvolume.engine.served import Gaps, Served
from kvolume.engine.serving_config import ServingConfig, check_servable
from kvolume.engine.watch import Progress
from kvolume.errors import MissingExtraError, ParameterError
from kvolume.geometry import attention_pairs
from kvolume.policy.rules import PATIENCE
from kvolume.vllm import harness
from kvolume.vllm.scheduler import Scheduler
from kvolume.vllm.settings import carried

STOCK = "vllm"  # the policy that is vLLM's own: its class is run as it is, without the plug-in
TOKEN = [7]  # what the simulated GPU samples


def run(instance: Instance, config: ServingConfig, progress: Progress | None = None) -> Run:
    """Serve everybody with vLLM's own scheduler. Raises ParameterError for a policy that it cannot carry."""
    oracle, told = Oracle(instance, config), monotonic()
    while oracle.step():
        if progress and monotonic() - told > 0.25:
            progress(oracle.done, len(instance))
            told = monotonic()
    if progress:
        progress(len(instance), len(instance))
    return oracle.result()


class Oracle:
    """One vLLM scheduler, and what is to be known of its requests: by name there, by rank in order of arrival here."""

    def __init__(self, instance: Instance, config: ServingConfig) -> None:
        n = len(instance)
        self.i, self.config, self.clock = instance, config, instance.clock
        self.scheduler = _scheduler(instance, config)
        self.tick = self.now = self.arrived = self.done = self.barren = 0
        if (layer := getattr(self.scheduler, "_kvolume", None)) is not None:
            layer.clock = lambda: self.tick
        self.requests: dict[str, Any] = {}
        self.running: dict[str, int] = {}  # rank
        self.prefilling: dict[str, tuple[int, int]] = {}  # tokens computed, and known at the admission
        self.late: dict[str, int] = {}  # when its last token came, of who got none in the step before
        self.held = 0  # tokens with KV of all that run
        self.ids: list[str] = []
        self.index: dict[str, int] = {}
        self.changed = True  # is `ids` out of date?
        self.start, self.first, self.finish = (np.full(n, NEVER) for _ in range(3))
        self.joined, self.start_step = np.full(n, NEVER), np.full(n, NEVER)
        self.evicted, self.most_computed = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.stays: list[list[int]] = []  # request, begin, end, kept
        self.stay_of: dict[str, list[int]] = {}
        self.segments: list[tuple[int, int]] = []
        self.gaps: Counter[int] = Counter()
        self.passes = self.computed = self.recomputed = self.cached = self.kv_token_ticks = 0

    def step(self) -> bool:
        """One call of vLLM's scheduler and its forward pass; False at the end."""
        scheduler, arrival = self.scheduler, self.i.arrival
        if self.done == self.arrived:
            if self.arrived == len(self.i):
                return False
            self.tick = max(self.tick, int(arrival[self.arrived]))
        while self.arrived < len(self.i) and arrival[self.arrived] <= self.tick:
            self.join()
        self.segments.append((self.now, self.tick))
        step = scheduler.schedule()
        tokens = step.num_scheduled_tokens
        new = len(step.scheduled_new_reqs) + len(step.scheduled_cached_reqs.resumed_req_ids)
        if len(self.running) + new > len(scheduler.running):
            self.preempt()
        for request in scheduler.running[len(scheduler.running) - new :]:
            self.admit(request.request_id, tokens[request.request_id])
        output = self.forward(tokens, step.total_num_scheduled_tokens)
        scheduler.update_from_output(step, output)
        self.now += 1
        for name in scheduler.finished_req_ids:
            self.end(name)
        return self.barren < PATIENCE

    def join(self) -> None:
        """The next request arrives."""
        j = self.arrived
        request = self.requests[str(j)] = _request(self.i, j, self.config)
        self.scheduler.add_request(request)
        self.joined[j] = self.now
        self.arrived += 1
        self.barren = 0

    def admit(self, name: str, tokens: int) -> None:
        """It runs, with so many tokens to compute in this step."""
        j, request = int(name), self.requests[name]
        self.running[name] = j
        cached = int(request.num_computed_tokens) - tokens  # of its prefix
        self.prefilling[name] = cached, int(request.num_tokens)
        self.held += cached
        self.cached += cached
        if self.start[j] == NEVER:
            self.start[j], self.start_step[j] = self.tick, self.now
        self.stay_of[name] = [j, self.now, NEVER, int(request.num_output_tokens)]
        self.stays.append(self.stay_of[name])
        self.changed = True

    def preempt(self) -> None:
        """Some of those that ran wait again."""
        left = self.running.keys() - {request.request_id for request in self.scheduler.running}
        for name in left:
            j = self.running.pop(name)
            prefilled = self.prefilling.pop(name, None)
            if prefilled is None:
                self.late.setdefault(name, self.tick)
            held = prefilled[0] if prefilled else int(self.requests[name].num_tokens) - 1
            self.held -= held
            self.most_computed[j] = max(self.most_computed[j], held)
            self.evicted[j] += 1
            self.stay_of.pop(name)[2] = self.now
        self.barren += 1
        self.changed = True

    def forward(self, tokens: dict[str, int], total: int) -> Any:
        """The forward pass: moves the clock, and gives what vLLM's model runner would."""
        prefill, pairs, through = self.prefills(tokens)
        self.held += total
        self.computed += total
        whole = len(tokens) == len(self.running)
        begin = self.tick
        if tokens:
            held = self.held if whole else sum(int(self.requests[name].num_computed_tokens) for name in tokens)
            took = self.clock.iteration(len(tokens), held, prefill, pairs)
            self.kv_token_ticks += held * took
            self.tick += took
            self.passes += 1
        again = [name for name in self.late if name in tokens and name not in self.prefilling]
        steady = len(tokens) - len(again) - sum(name in tokens for name in self.prefilling)
        if steady:
            self.gaps[self.tick - begin] += steady
        if not whole:
            for name in self.running:
                if name not in tokens and name not in self.prefilling:
                    self.late.setdefault(name, begin)
        for name in through:
            del self.prefilling[name]
            if self.first[j := int(name)] == NEVER:
                self.first[j] = self.tick
            else:
                again.append(name)
        for name in again:
            self.gaps[self.tick - self.late.pop(name)] += 1
        return self.output(tokens, whole)

    def prefills(self, tokens: dict[str, int]) -> tuple[int, int, list[str]]:
        """Tokens and pairs of this step's prefills, and whose prefill ends with it."""
        prefill, pairs, through = 0, 0, []
        for name, (before, known) in self.prefilling.items():
            if got := tokens.get(name, 0):
                after = before + got
                prefill += got
                pairs += attention_pairs(before, after)
                self.recomputed += max(0, min(after, int(self.most_computed[int(name)])) - before)
                self.prefilling[name] = after, known
                if after >= known:
                    through.append(name)
        return prefill, pairs, through

    def output(self, tokens: dict[str, int], whole: bool) -> Any:
        """A token for everybody whose known tokens are all computed."""
        from vllm.v1.outputs import ModelRunnerOutput

        if self.changed or not whole or len(self.ids) != len(tokens):
            self.ids = list(tokens)
            self.index = dict(zip(self.ids, range(len(self.ids)), strict=True))
            self.changed = not whole
        sampled = [TOKEN] * len(self.ids)
        for name in self.prefilling:
            if name in self.index:
                sampled[self.index[name]] = []
        return harness.fitting(
            ModelRunnerOutput, req_ids=self.ids, req_id_to_index=self.index, sampled_token_ids=sampled, logprobs=None,
            prompt_logprobs_dict={}, pooler_output=[], spec_token_ids=None,
        )  # fmt: skip

    def end(self, name: str) -> None:
        """It got its last token."""
        j = self.running.pop(name)
        self.finish[j] = self.tick
        self.held -= int(self.i.prompt[j] + self.i.output[j]) - 1
        self.stay_of.pop(name)[2] = self.now
        del self.requests[name]
        self.done += 1
        self.barren = 0
        self.changed = True

    def result(self) -> Run:
        """What an engine gives back."""
        for stay in self.stay_of.values():
            stay[2] = self.now
        lengths, weights = (np.array(list(x), np.int64) for x in (self.gaps.keys(), self.gaps.values()))
        gaps = Gaps(lengths, np.zeros_like(lengths), np.ones_like(lengths), weights)
        return Run(
            self.start, self.first, self.finish, self.evicted, self.start_step > self.joined,
            Episodes(*np.array(self.stays, np.int64).reshape(-1, 4).T),
            Segments(*np.array(self.segments, np.int64).reshape(-1, 2).T), self.kv_token_ticks,
            self.done == len(self.i), Served(gaps, self.passes, self.computed, self.recomputed, self.cached),
        )  # fmt: skip


def _scheduler(i: Instance, config: ServingConfig) -> Any:
    """vLLM's scheduler, set up as `config` says: its own for the policy `vllm`, else with the plug-in over it."""
    try:
        import vllm  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "The engine 'vllm' needs vLLM, which is not installed. Install it with: pip install vllm"
        ) from None
    set_by_hand = sorted(name for name in os.environ if name in ("KVOLUME_POLICY", "KVOLUME_MODE"))
    if set_by_hand:
        raise ParameterError(f"The engine 'vllm' takes the policy as given: unset {' and '.join(set_by_hand)}.")
    if config.num_speculative_tokens:
        raise ParameterError("The engine 'vllm' makes no drafts: use num_speculative_tokens=0, or --engine serving.")
    name = check_servable(i.policy).name
    if name != STOCK:
        carried(name)
    settings = {"mode": "off"} if name == STOCK else {"policy": name, "preempted_first": False, "clock": i.clock.name}
    longest = int((i.prompt + i.output).max())
    return harness.make(
        Scheduler, kv_blocks=i.kv_tokens // config.block_size, block=config.block_size,
        max_num_seqs=config.max_num_seqs, token_budget=config.max_num_batched_tokens, max_model_len=longest,
        settings=settings, caching=config.enable_prefix_caching, enable_chunked_prefill=config.enable_chunked_prefill,
        long_prefill_token_threshold=config.long_prefill_token_threshold,
        scheduler_reserve_full_isl=config.scheduler_reserve_full_isl, watermark=config.watermark,
    )  # fmt: skip


def prompt(i: Instance, j: int) -> list[int]:
    """Token ids of the prompt of the j-th to arrive: equal in prefix blocks with equal ids, else its own."""
    own = list(range(start := (1 << 40) + (j << 24), start + int(i.prompt[j])))
    if i.prefix is not None:
        ids = i.prefix.ids[i.prefix.offsets[j] : i.prefix.offsets[j + 1]].tolist()
        shared = [x * i.prefix.tokens + k for x in ids for k in range(i.prefix.tokens)]
        own[: len(shared)] = shared[: len(own)]
    return own


def _request(i: Instance, j: int, config: ServingConfig) -> Any:
    """The j-th to arrive. Without prefix caching nobody looks at the tokens of its prompt."""
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher
    from vllm.v1.request import Request

    hint = {"predicted_output_len": int(i.guess[j])}
    caching = config.enable_prefix_caching
    return harness.fitting(
        Request, request_id=str(j), pooling_params=None, eos_token_id=None, arrival_time=float(i.arrival[j]),
        prompt_token_ids=prompt(i, j) if caching else [0] * int(i.prompt[j]),
        sampling_params=SamplingParams(max_tokens=int(i.output[j]), ignore_eos=True, temperature=0.0, extra_args=hint),
        block_hasher=get_request_block_hasher(config.block_size, sha256) if caching else None,
    )  # fmt: skip
