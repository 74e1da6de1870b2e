"""vLLM's real scheduler and KV-cache manager with a simulated GPU: your installed version's schedule, without a model.

`make` builds a scheduler as vLLM's own tests do, `drive` runs requests through it step by step. A step's length in
seconds comes from a `kvolume.clock.Clock`, as in `kvolume.simulate(..., engine="serving")`, so a run is a simulation
in simulated seconds.
"""

from __future__ import annotations

import inspect
import os
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kvolume.clock import UNIT, Clock
from kvolume.vllm import tiny
from kvolume.vllm.counts import StepCounts


@dataclass(frozen=True, slots=True)
class Job:
    """A request to run. Arrival in ticks of the clock (steps with the unit clock), lengths in tokens."""

    prompt: int
    output: int
    arrival: int = 0
    priority: int = 0
    hint: dict[str, Any] | None = None  # extra_args; None: the true output length
    prefix: int = 0  # leading tokens that are the same in all jobs
    abort_after: int | None = None  # ticks after its arrival


@dataclass(slots=True)
class Trace:
    """What happened. Steps and ticks per request id; ticks are the clock's."""

    steps: int = 0
    ticks: int = 0
    tokens: int = 0  # computed, prefills and recomputations included
    admitted: list[str] = field(default_factory=list)  # in order of first admission
    schedule: list[tuple[tuple[str, int], ...]] = field(default_factory=list)  # per step: request, tokens
    first: dict[str, int] = field(default_factory=dict)
    finish: dict[str, int] = field(default_factory=dict)
    aborted: set[str] = field(default_factory=set)
    made: dict[str, list[int]] = field(default_factory=dict)
    preemptions: int = 0
    admissions: int = 0  # resumed requests included


def fitting(f: Callable[..., Any], **values: Any) -> Any:
    """Call `f` with those of the arguments that its version knows."""
    known = _parameters(f)
    return f(**values) if known is None else f(**{k: v for k, v in values.items() if k in known})


@cache
def _parameters(f: Callable[..., Any]) -> frozenset[str] | None:
    """The names of its parameters; None where it takes any."""
    known = inspect.signature(f).parameters
    return None if any(p.kind is p.VAR_KEYWORD for p in known.values()) else frozenset(known)


@cache
def _prepare() -> str:
    """Make vLLM importable as a CPU build, whatever it was built for; the folder of a tiny model."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_TARGET_DEVICE", "cpu")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "1")  # the simulated GPU has no positions to run out of
    from vllm import platforms
    from vllm.platforms import current_platform  # noqa: F401  (vLLM looks first)
    from vllm.platforms.cpu import CpuPlatform
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import init_none_hash

    platforms._current_platform = CpuPlatform()
    init_none_hash(sha256)
    return str(tiny.write(Path(tempfile.mkdtemp(prefix="kvolume-"))))


def make(
    scheduler: Callable[..., Any] | None = None, *, kv_blocks: int = 1023, block: int = 16, max_num_seqs: int = 256,
    token_budget: int = 2048, max_model_len: int = 4096, caching: bool = False, asynchronous: bool = False,
    queue_policy: str = "fcfs", window: int = 0, enable_chunked_prefill: bool = True,
    settings: dict[str, Any] | None = None, **more: Any,
) -> Any:  # fmt: skip
    """A scheduler with `kv_blocks` usable blocks; by default vLLM's own. `settings` are kvolume's.

    `queue_policy` is vLLM's --scheduling-policy; a `window` > 0 makes the model one of sliding-window attention.
    """
    model = _prepare()
    import torch
    from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec, SlidingWindowSpec
    from vllm.v1.structured_output import StructuredOutputManager

    config = VllmConfig(
        scheduler_config=SchedulerConfig(
            max_num_seqs=max_num_seqs, max_num_batched_tokens=token_budget, max_model_len=max_model_len,
            enable_chunked_prefill=enable_chunked_prefill, is_encoder_decoder=False, async_scheduling=asynchronous,
            policy=queue_policy, **more,
        ),
        model_config=fitting(
            ModelConfig, model=model, tokenizer=model, skip_tokenizer_init=True, dtype="float32",
            max_model_len=max_model_len, seed=0,
        ),
        cache_config=fitting(
            CacheConfig, block_size=block, enable_prefix_caching=caching, cache_dtype="auto", swap_space=0,
            gpu_memory_utilization=0.9,
        ),
        device_config=DeviceConfig("cpu"),
        additional_config={"kvolume": settings or {}},
    )  # fmt: skip
    config.scheduler_config.async_scheduling = asynchronous  # the CPU platform would have none of it
    config.cache_config.num_gpu_blocks = kv_blocks + 1  # one is the null block
    shape = {"block_size": block, "num_kv_heads": 1, "head_size": 1, "dtype": torch.float32}
    spec = SlidingWindowSpec(**shape, sliding_window=window) if window else FullAttentionSpec(**shape)
    groups = [KVCacheGroupSpec(["layer"], spec)]
    cache = KVCacheConfig(num_blocks=kv_blocks + 1, kv_cache_tensors=[], kv_cache_groups=groups)
    values = {
        "vllm_config": config, "kv_cache_config": cache, "structured_output_manager": StructuredOutputManager(config),
        "block_size": block, "hash_block_size": block, "log_stats": False,
    }  # fmt: skip
    known = inspect.signature(Scheduler.__init__).parameters
    values = {k: v for k, v in values.items() if k in known}
    return (scheduler or (AsyncScheduler if asynchronous else Scheduler))(**values)


def request(i: int, job: Job, block: int = 16, caching: bool = False) -> Any:
    """A vLLM request for a job."""
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher
    from vllm.v1.request import Request

    hint = {"predicted_output_len": job.output} if job.hint is None else job.hint
    params = SamplingParams(max_tokens=job.output, ignore_eos=True, temperature=0.0, extra_args=hint)
    own = [(i * 7919 + k * 31 + 7) % 251 for k in range(job.prompt - job.prefix)]
    return fitting(
        Request, request_id=str(i), prompt_token_ids=[k % 251 for k in range(job.prefix)] + own, sampling_params=params,
        pooling_params=None, arrival_time=float(i), priority=job.priority, eos_token_id=None,
        block_hasher=get_request_block_hasher(block, sha256) if caching else None,
    )  # fmt: skip


def token(request_id: str, position: int) -> int:
    """The simulated model: the token is a function of request and position, so texts can be compared."""
    return (int(request_id) * 7919 + position * 104_729) % 250 + 1


def _output(step: Any, scheduler: Any) -> Any:
    """What the simulated GPU gives back: a token for each request whose known tokens are all computed."""
    from vllm.v1.outputs import ModelRunnerOutput

    ids = list(step.num_scheduled_tokens)
    tokens = []
    for i in ids:
        r = scheduler.requests[i]
        full = r.num_computed_tokens >= r.num_tokens
        made = r.num_computed_tokens - r.num_prompt_tokens + 1
        tokens.append([token(i, made)] if full else [])
    return fitting(
        ModelRunnerOutput, req_ids=ids, req_id_to_index={r: k for k, r in enumerate(ids)}, sampled_token_ids=tokens,
        logprobs=None, prompt_logprobs_dict={}, pooler_output=[], spec_token_ids=None,
    )  # fmt: skip


def _ticks(clock: Clock, count: dict[str, int]) -> int:
    """Ticks of a step with these counts; none where there is nothing to compute."""
    if not count["running"]:
        return 0
    return clock.iteration(count["running"], count["kv_tokens"], count["prefill_tokens"], count["pairs"])


def drive(
    scheduler: Any, jobs: Sequence[Job], *, clock: Clock = UNIT, depth: int = 1, block: int = 16, caching: bool = False,
    record: bool = True, each_step: Callable[[Any], None] | None = None, most_steps: int = 10**7,
) -> Trace:  # fmt: skip
    """Run jobs (in order of arrival) to their end. `depth` 2: step n+1 is scheduled before step n is known."""
    trace, in_flight, counts = Trace(), deque[tuple[Any, Any, int]](), StepCounts(scheduler)
    layer = getattr(scheduler, "_kvolume", None)
    if layer is not None:
        layer.clock = lambda: trace.ticks
    aborts = deque(sorted((j.arrival + j.abort_after, str(i)) for i, j in enumerate(jobs) if j.abort_after is not None))
    arrived, known = 0, {}
    while arrived < len(jobs) or scheduler.has_requests() or in_flight:
        if not scheduler.has_requests() and not in_flight and arrived < len(jobs):
            trace.ticks = max(trace.ticks, jobs[arrived].arrival)
        while arrived < len(jobs) and jobs[arrived].arrival <= trace.ticks:
            r = known[str(arrived)] = request(arrived, jobs[arrived], block, caching)
            scheduler.add_request(r)
            arrived += 1
        while aborts and aborts[0][0] <= trace.ticks and int(aborts[0][1]) < arrived:
            _abort(scheduler, aborts.popleft()[1], trace)
        if scheduler.has_requests():
            step = scheduler.schedule()
            trace.steps += 1
            if trace.steps > most_steps:
                raise RuntimeError(f"no end after {most_steps} steps")
            trace.tokens += step.total_num_scheduled_tokens
            for new in step.scheduled_new_reqs:
                if new.req_id not in trace.first:
                    trace.admitted.append(new.req_id)
                    trace.first[new.req_id] = trace.ticks
            if record:
                trace.schedule.append(tuple(step.num_scheduled_tokens.items()))
            in_flight.append((step, _output(step, scheduler), _ticks(clock, counts.of(step))))
            if each_step is not None:
                each_step(scheduler)
            if len(in_flight) < depth and step.total_num_scheduled_tokens > 0:
                continue
        step, output, took = in_flight.popleft()
        trace.ticks += took
        results = scheduler.update_from_output(step, output)
        for group in results.values() if isinstance(results, dict) else [results]:
            for one in group.outputs:
                trace.made.setdefault(one.request_id, []).extend(one.new_token_ids)
                if one.finish_reason is not None:
                    if one.request_id in trace.finish:
                        raise RuntimeError(f"request {one.request_id} ended twice")
                    trace.finish[one.request_id] = trace.ticks
    trace.preemptions = sum(r.num_preemptions for r in known.values())
    trace.admissions = counts.admissions
    return trace


def _abort(scheduler: Any, request_id: str, trace: Trace) -> None:
    from vllm.v1.request import RequestStatus

    if request_id in scheduler.requests and request_id not in trace.finish:
        scheduler.finish_requests(request_id, RequestStatus.FINISHED_ABORTED)
        trace.aborted.add(request_id)
