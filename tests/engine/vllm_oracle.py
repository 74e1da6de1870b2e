"""vLLM's real scheduler and KV-cache manager with a simulated GPU, step by step (imports vLLM on first use)."""

from __future__ import annotations

import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from kvolume.engine.instance import Instance
from kvolume.engine.serving import Step
from kvolume.engine.serving_config import ServingConfig
from kvolume.policy.rules import draft_accepted
from kvolume.vllm.harness import fitting
from kvolume.vllm.oracle import prompt

MODEL = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 259, "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "head_dim": 32, "max_position_embeddings": 1 << 20, "torch_dtype": "float32",
}  # fmt: skip


@cache
def _model() -> str:
    """A folder with the configuration of a tiny model; no weights are ever made."""
    for name, value in (("VLLM_LOGGING_LEVEL", "ERROR"), ("VLLM_TARGET_DEVICE", "cpu"), ("HF_HUB_OFFLINE", "1"),
                        ("VLLM_PLUGINS", "")):  # fmt: skip
        os.environ.setdefault(name, value)
    from vllm import platforms
    from vllm.platforms import current_platform  # noqa: F401  (vLLM looks first)
    from vllm.platforms.cpu import CpuPlatform
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import init_none_hash

    platforms._current_platform = CpuPlatform()
    init_none_hash(sha256)  # once: in some versions every call draws a new root of all hashes
    folder = Path(tempfile.mkdtemp(prefix="kvolume-model-"))
    (folder / "config.json").write_text(json.dumps(MODEL))
    return str(folder)


@cache
def _model_config(longest: int) -> Any:
    from vllm.config import ModelConfig

    return ModelConfig(model=_model(), skip_tokenizer_init=True, dtype="float32", max_model_len=longest, seed=0)


def make(config: ServingConfig, kv_tokens: int, policy: str, longest: int, plug_in: str = "") -> Any:
    """A scheduler set up as `config` says, with kv_tokens in usable blocks, by --scheduling-policy `policy`.

    `plug_in` is a policy of kvolume's own plug-in, put over vLLM's scheduler.
    """
    model = _model_config(longest)
    import torch
    from vllm.config import CacheConfig, DeviceConfig, SchedulerConfig, VllmConfig
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
    from vllm.v1.structured_output import StructuredOutputManager

    from kvolume.vllm import Scheduler as KvolumeScheduler

    speculative = None
    if config.num_speculative_tokens:
        from vllm.config import ParallelConfig, SpeculativeConfig

        speculative = SpeculativeConfig(
            method="ngram", num_speculative_tokens=config.num_speculative_tokens, prompt_lookup_max=2,
            target_model_config=model, target_parallel_config=ParallelConfig(),
        )  # fmt: skip

    settings = {"policy": plug_in, "preempted_first": False} if plug_in else {"mode": "off"}
    blocks = kv_tokens // config.block_size + 1  # and the null block
    vllm_config = VllmConfig(
        scheduler_config=fitting(
            SchedulerConfig, max_model_len=longest, is_encoder_decoder=False, policy=policy, async_scheduling=False,
            max_num_batched_tokens=config.max_num_batched_tokens, max_num_seqs=config.max_num_seqs,
            enable_chunked_prefill=config.enable_chunked_prefill,
            long_prefill_token_threshold=config.long_prefill_token_threshold,
            scheduler_reserve_full_isl=config.scheduler_reserve_full_isl, watermark=config.watermark,
        ),
        model_config=model,
        cache_config=CacheConfig(
            block_size=config.block_size, enable_prefix_caching=config.enable_prefix_caching, cache_dtype="auto"
        ),
        speculative_config=speculative,
        device_config=DeviceConfig("cpu"),
        additional_config={"kvolume": settings},
    )  # fmt: skip
    vllm_config.cache_config.num_gpu_blocks = blocks
    spec = FullAttentionSpec(block_size=config.block_size, num_kv_heads=1, head_size=1, dtype=torch.float32)
    scheduler = (KvolumeScheduler if plug_in else Scheduler)(
        vllm_config=vllm_config, block_size=config.block_size, hash_block_size=config.block_size, log_stats=False,
        kv_cache_config=KVCacheConfig(num_blocks=blocks, kv_cache_tensors=[],
                                      kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)]),
        structured_output_manager=StructuredOutputManager(vllm_config),
    )  # fmt: skip
    scheduler.num_lookahead_tokens = config.num_lookahead_tokens  # n-gram drafts need none, others do
    return scheduler


def _request(i: Instance, j: int, config: ServingConfig) -> Any:
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher
    from vllm.v1.request import Request

    output = int(i.output[j])
    return fitting(
        Request, request_id=f"{j:06d}", prompt_token_ids=prompt(i, j), pooling_params=None, eos_token_id=None,
        arrival_time=float(i.arrival[j]), priority=int(i.predicted[j]),
        sampling_params=SamplingParams(
            max_tokens=output, ignore_eos=True, temperature=0.0, extra_args={"predicted_output_len": output}
        ),
        block_hasher=get_request_block_hasher(config.block_size, sha256) if config.enable_prefix_caching else None,
    )  # fmt: skip


def _sample(i: Instance, config: ServingConfig, step: Any, request: Any) -> list[int]:
    """The tokens that the simulated GPU makes: none in a prefill that goes on, one, and those drafts that are right."""
    name = request.request_id
    j, drafts = int(name), step.scheduled_spec_decode_tokens.get(name, [])
    if request.num_computed_tokens - len(drafts) < request.num_tokens:
        return []
    made, accepted = request.num_output_tokens, 0
    while accepted < len(drafts) and drafts[accepted] >= 0 and draft_accepted(
        j, made + accepted, config.seed, config.accepts
    ):  # fmt: skip
        accepted += 1
    return [(1 << 60) + (j << 20) + made + k for k in range(accepted + 1)]


def steps(scheduler: Any, i: Instance, config: ServingConfig, most: int) -> list[Step]:
    """Run the requests to their end, or for `most` steps."""
    from vllm.v1.outputs import DraftTokenIds, ModelRunnerOutput

    out, tick, arrived = [], 0, 0
    prefill_until: dict[str, int] = {}
    while len(out) < most and (arrived < len(i) or scheduler.has_unfinished_requests()):
        if not scheduler.has_unfinished_requests():
            tick = max(tick, int(i.arrival[arrived]))
        while arrived < len(i) and i.arrival[arrived] <= tick:
            scheduler.add_request(_request(i, arrived, config))
            arrived += 1
        before = {r.request_id for r in scheduler.running}
        step = scheduler.schedule()
        ids, tokens = list(step.num_scheduled_tokens), step.num_scheduled_tokens
        running = {r.request_id for r in scheduler.running}
        free = scheduler.kv_cache_manager.block_pool.get_num_free_blocks()
        out.append(Step(tick, {int(j): n for j, n in tokens.items()}, tuple(map(int, sorted(before - running))), free))
        known = {j: scheduler.requests[j] for j in ids}
        prefill_until |= {j: r.num_tokens for j, r in known.items() if j not in before}
        started = {j: r.num_computed_tokens - tokens[j] for j, r in known.items()}
        prefilling = [j for j in ids if started[j] < prefill_until[j]]
        prefill = sum(tokens[j] for j in prefilling)
        pairs = sum(p for j in prefilling for p in range(started[j] + 1, started[j] + tokens[j] + 1))
        if ids:
            tick += i.clock.iteration(len(ids), sum(r.num_computed_tokens for r in known.values()), prefill, pairs)
        sampled = [_sample(i, config, step, r) for r in known.values()]
        drafted = [j for j, made in zip(ids, sampled, strict=True) if made]
        scheduler.update_from_output(step, fitting(
            ModelRunnerOutput, req_ids=ids, req_id_to_index={j: k for k, j in enumerate(ids)},
            sampled_token_ids=sampled, logprobs=None, prompt_logprobs_dict={}, pooler_output=[],
        ))  # fmt: skip
        if config.num_speculative_tokens:
            drafts = [[7] * config.num_speculative_tokens for _ in drafted]
            scheduler.update_draft_token_ids(DraftTokenIds(drafted, drafts))
    return out
