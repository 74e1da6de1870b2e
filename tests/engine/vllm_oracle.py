"""vLLM's real scheduler and KV-cache manager with a simulated GPU, step by step (imports vLLM on first use)."""

from __future__ import annotations

import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from kvolume.clock import Clock
from kvolume.engine.serving import Step
from kvolume.engine.serving_config import ServingConfig

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

    platforms._current_platform = CpuPlatform()
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

    settings = {"policy": plug_in, "preempted_first": False} if plug_in else {"mode": "off"}
    blocks = kv_tokens // config.block_size + 1  # and the null block
    vllm_config = VllmConfig(
        scheduler_config=SchedulerConfig(
            max_model_len=longest, is_encoder_decoder=False, policy=policy, async_scheduling=False,
            max_num_batched_tokens=config.max_num_batched_tokens, max_num_seqs=config.max_num_seqs,
            enable_chunked_prefill=config.enable_chunked_prefill,
            long_prefill_token_threshold=config.long_prefill_token_threshold,
            scheduler_reserve_full_isl=config.scheduler_reserve_full_isl, watermark=config.watermark,
        ),
        model_config=model,
        cache_config=CacheConfig(block_size=config.block_size, enable_prefix_caching=False, cache_dtype="auto"),
        device_config=DeviceConfig("cpu"),
        additional_config={"kvolume": settings},
    )  # fmt: skip
    vllm_config.cache_config.num_gpu_blocks = blocks
    spec = FullAttentionSpec(block_size=config.block_size, num_kv_heads=1, head_size=1, dtype=torch.float32)
    return (KvolumeScheduler if plug_in else Scheduler)(
        vllm_config=vllm_config, block_size=config.block_size, hash_block_size=config.block_size, log_stats=False,
        kv_cache_config=KVCacheConfig(num_blocks=blocks, kv_cache_tensors=[],
                                      kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)]),
        structured_output_manager=StructuredOutputManager(vllm_config),
    )  # fmt: skip


def _request(j: int, prompt: int, output: int, priority: int, arrival: int) -> Any:
    from vllm.sampling_params import SamplingParams
    from vllm.v1.request import Request

    return Request(
        request_id=f"{j:06d}", prompt_token_ids=[7] * prompt, pooling_params=None, arrival_time=float(arrival),
        sampling_params=SamplingParams(
            max_tokens=output, ignore_eos=True, temperature=0.0, extra_args={"predicted_output_len": output}
        ),
        priority=priority,
    )  # fmt: skip


def steps(scheduler: Any, jobs: list[tuple[int, int, int, int]], clock: Clock, most: int) -> list[Step]:
    """Run jobs (arrival in ticks, prompt, output, priority; in order of arrival) to their end, or for `most` steps."""
    from vllm.v1.outputs import ModelRunnerOutput

    out, tick, arrived = [], 0, 0
    prefill_until: dict[str, int] = {}
    while len(out) < most and (arrived < len(jobs) or scheduler.has_unfinished_requests()):
        if not scheduler.has_unfinished_requests():
            tick = max(tick, jobs[arrived][0])
        while arrived < len(jobs) and jobs[arrived][0] <= tick:
            arrival, prompt, output, priority = jobs[arrived]
            scheduler.add_request(_request(arrived, prompt, output, priority, arrival))
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
            tick += clock.iteration(len(ids), sum(r.num_computed_tokens for r in known.values()), prefill, pairs)
        sampled = [[5] if r.num_computed_tokens >= r.num_tokens else [] for r in known.values()]
        scheduler.update_from_output(step, ModelRunnerOutput(
            req_ids=ids, req_id_to_index={j: k for k, j in enumerate(ids)}, sampled_token_ids=sampled, logprobs=None,
            prompt_logprobs_dict={}, pooler_output=[],
        ))  # fmt: skip
    return out
