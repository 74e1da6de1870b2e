"""How a vLLM server is set up, as far as its scheduler sees it: the options under vLLM's own names."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kvolume.clock import Caps
from kvolume.engine.instance import check_kv_tokens
from kvolume.errors import InputError, ParameterError
from kvolume.geometry import peak
from kvolume.policy import Greedy, Planner, Policy
from kvolume.policy.eviction import Eviction
from kvolume.policy.rules import RANDOM_MODULUS
from kvolume.text import check_keys, number
from kvolume.workload import Workload

WHAT = "the serving engine"


@dataclass(frozen=True, slots=True)
class ServingConfig:
    """Options of vLLM's V1 scheduler, with the defaults of `vllm serve` where those do not depend on the GPU.

    The size of the KV cache is not among them: `kv_tokens` of `simulate` is (num_gpu_blocks - 1) * block_size, since
    vLLM keeps one block of its pool, the null block, for itself.
    """

    block_size: int = 16  # KV tokens in a block
    max_num_batched_tokens: int = 8192  # token budget of a step
    max_num_seqs: int = 256  # requests that run at once
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0  # most tokens of one request in a step while there are others; 0: no limit
    scheduler_reserve_full_isl: bool = True  # admit only where the whole prompt (and kept tokens) fits
    watermark: float = 0.0  # fraction of the blocks that admissions leave free while something runs
    enable_prefix_caching: bool = True  # find full blocks again by their content
    num_speculative_tokens: int = 0  # drafts for each token; 0: no speculative decoding
    num_lookahead_tokens: int = 0  # slots for the drafter: num_speculative_tokens with EAGLE or a draft model, n-gram 0
    acceptance_rate: float = 0.7  # probability that a draft is accepted if all before it were
    seed: int = 0  # of the draws of acceptance

    def __post_init__(self) -> None:
        """Raise ParameterError for what vLLM would refuse."""
        for name, low in (("block_size", 1), ("max_num_batched_tokens", 1), ("max_num_seqs", 1),
                          ("long_prefill_token_threshold", 0), ("num_speculative_tokens", 0),
                          ("num_lookahead_tokens", 0), ("seed", 0)):  # fmt: skip
            number(getattr(self, name), name, WHAT, low=low, high=1_000_000_000, integer=True)
        if not 0 <= number(self.watermark, "watermark", WHAT, low=0, high=1) < 1:
            raise ParameterError(f"The 'watermark' parameter of {WHAT} must be below 1. Got {self.watermark} instead.")
        if self.num_lookahead_tokens and not self.num_speculative_tokens:
            raise ParameterError(
                f"The 'num_lookahead_tokens' parameter of {WHAT} is for drafts: it needs num_speculative_tokens > 0."
            )
        number(self.acceptance_rate, "acceptance_rate", WHAT, low=0, high=1)
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ParameterError(
                f"The 'max_num_batched_tokens' parameter of {WHAT} must be >= max_num_seqs = {self.max_num_seqs}, "
                f"as in vLLM. Got {self.max_num_batched_tokens} instead."
            )

    def blocks(self, tokens: Any) -> Any:
        """Blocks that hold so many tokens."""
        return -(-tokens // self.block_size)

    def caps(self, kv_tokens: int) -> Caps:
        """What a step has at most."""
        return Caps(kv_tokens, self.max_num_seqs, self.max_num_batched_tokens)

    def watermark_blocks(self, usable: int) -> int:
        """Blocks that admissions leave free, of `usable` ones and the null block."""
        return int(self.watermark * (usable + 1))

    @property
    def slack(self) -> int:
        """Slots that a request may need beyond its own tokens, for drafts."""
        return self.num_speculative_tokens + self.num_lookahead_tokens

    @property
    def accepts(self) -> int:
        """The acceptance rate as `rules.draft_accepted` wants it."""
        return int(self.acceptance_rate * RANDOM_MODULUS)


def parse_serving(text: str) -> ServingConfig:
    """The options that a string names: `max_num_seqs=256,watermark=0.01`. Empty: the defaults.

    Raises UnknownNameError for an option that does not exist, ParameterError for a bad value.
    """
    values: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, equals, value = (p.strip() for p in part.partition("="))
        if not equals or not value:
            raise ParameterError(f"The serving options '{text}' have '{part}' where key=value is expected.")
        values[key] = value
    known = {f.name: f.type for f in fields(ServingConfig)}
    check_keys(values, known, WHAT)
    for key, value in values.items():
        x = number(value, key, WHAT, integer=known[key] != "float")
        values[key] = bool(number(value, key, WHAT, low=0, high=1)) if known[key] == "bool" else x
    return ServingConfig(**values)


def check_servable(planner: Planner) -> Policy:
    """The policy, if the serving engine can carry it. Raises ParameterError by name if not.

    vLLM preempts one request at a time, which keeps its tokens; so does this engine.
    """
    name = planner.name
    if not isinstance(planner, Policy) or type(planner).plan is not Policy.plan:
        raise ParameterError(
            f"The engine 'serving' cannot run policy '{name}', which plans by itself: it needs an order, an admission "
            "and an eviction rule."
        )
    if type(planner.eviction).choose is Eviction.choose or not planner.eviction.keep:
        raise ParameterError(
            f"The engine 'serving' cannot run policy '{name}': vLLM preempts one request at a time, which keeps its "
            "tokens. Use evict=latest, largest or last, with keep=1."
        )
    return planner


def check_served(workload: Workload, config: ServingConfig, kv_tokens: int) -> None:
    """Raise InputError for a request that vLLM could never take to its end.

    It has no prompt, is too long for an unchunked step, or leaves no slots in the cache for its drafts.
    """
    s, o = workload.prompt_tokens, workload.output_tokens
    if (s < 1).any():
        raise InputError(
            f"Request {int(np.argmax(s < 1)) + 1} of '{workload.name}' has no prompt token; the engine 'serving' needs "
            "at least one, as vLLM does."
        )
    longest = peak(s, o, "engine")
    tight = (longest <= kv_tokens) & (longest + config.slack > kv_tokens)
    if tight.any():
        row = int(np.argmax(tight))
        raise InputError(
            f"Request {row + 1} of '{workload.name}' needs {longest[row]} KV tokens and {config.slack} more for "
            f"drafts, but there are {kv_tokens}: raise --kv-tokens."
        )
    if not config.enable_chunked_prefill and (longest > config.max_num_batched_tokens).any():
        row = int(np.argmax(longest > config.max_num_batched_tokens))
        raise InputError(
            f"Request {row + 1} of '{workload.name}' may have to prefill {longest[row]} tokens at once, more than "
            f"max_num_batched_tokens = {config.max_num_batched_tokens}: raise it, or use enable_chunked_prefill=1."
        )


def whole_blocks(kv_tokens: int, config: ServingConfig) -> int:
    """The KV tokens in whole blocks. Raises ParameterError where there is not a single one."""
    check_kv_tokens(kv_tokens)
    if kv_tokens < config.block_size:
        raise ParameterError(
            f"The budget kv_tokens must hold at least one block of {config.block_size} tokens. Got {kv_tokens} instead."
        )
    return kv_tokens // config.block_size * config.block_size


def own_gate(policy: Policy) -> bool:
    """Does the policy's admission say more than vLLM's own test of free blocks, which is what greedy stands for?"""
    return not isinstance(policy.admission, Greedy)
