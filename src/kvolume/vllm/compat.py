"""All that depends on vLLM's version. Tested: 0.20 to 0.33. Outside: one warning; what is missing is left to vLLM.

    waiting queues          `waiting`; beside it `skipped_waiting` up to 0.30, `kv_holding_waiting` since 0.31
    preemption              in-flight tokens of an asynchronous engine are kept since 0.27; before, they are discarded
    prefix cache            `get_cached_block(hash, groups)`, stable in the range
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kvolume.clock import Caps
from kvolume.policy.rules import MOST_SHARED_BLOCKS

TESTED = ((0, 20), (0, 33))
NEEDED: dict[str, type] = {  # attributes of vLLM's scheduler
    "waiting": object, "running": list, "requests": dict, "block_size": int, "max_model_len": int,
    "vllm_config.parallel_config": object, "vllm_config.scheduler_config": object,
    "kv_cache_config.kv_cache_groups": object, "kv_cache_manager.block_pool.num_gpu_blocks": int,
    "kv_cache_manager.block_pool.get_num_free_blocks": object,
}  # fmt: skip
OVERRIDDEN = ("schedule", "_preempt_request", "_free_request")  # its methods: without them nobody would call ours


def version() -> str:
    """The installed version of vLLM, or `unknown`."""
    try:
        import vllm

        return str(vllm.__version__)
    except Exception:
        return "unknown"


def untested() -> str:
    """What there is to say of a vLLM outside the tested range; empty inside."""
    parts = version().split("+")[0].split(".")
    try:
        known = TESTED[0] <= (int(parts[0]), int(parts[1])) <= TESTED[1]
    except (ValueError, IndexError):
        known = False
    low, high = (".".join(map(str, v)) for v in TESTED)
    return "" if known else f"kvolume is tested with vLLM {low} to {high}; this is {version()}"


def base_class(vllm_config: Any) -> type[Any]:
    """The scheduler class that vLLM itself would take for this engine mode."""
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.core.sched.scheduler import Scheduler

    runs_ahead = getattr(vllm_config.scheduler_config, "async_scheduling", False)
    base: type[Any] = AsyncScheduler if runs_ahead else Scheduler
    return base


def missing(scheduler: Any) -> list[str]:
    """What the plug-in needs of the scheduler and does not find."""
    absent = []
    for path, kind in NEEDED.items():
        found = scheduler
        for name in path.split("."):
            found = getattr(found, name, None)
        if found is None or not isinstance(found, kind):
            absent.append(path)
    defined = [name for c in type(scheduler).__mro__ for name in OVERRIDDEN if name in vars(c)]
    absent += [name for name in OVERRIDDEN if defined.count(name) < 2]  # ours is one of them
    try:
        from vllm.v1.core.sched.request_queue import RequestQueue
        from vllm.v1.kv_cache_interface import FullAttentionSpec  # noqa: F401
    except ImportError as error:
        return [*absent, str(error.name if isinstance(error, ModuleNotFoundError) else error)]
    if "waiting" not in absent and not isinstance(scheduler.waiting, RequestQueue):
        absent.append("a waiting queue of class RequestQueue")
    return absent


def adopt(queue_class: type[Any]) -> None:
    """Let vLLM's isinstance checks know our queue."""
    from vllm.v1.core.sched.request_queue import RequestQueue

    RequestQueue.register(queue_class)


def by_priority(scheduler: Any) -> bool:
    """Does vLLM schedule by the clients' priorities?"""
    return getattr(getattr(scheduler, "policy", None), "value", "fcfs") == "priority"


def whole_context_groups(scheduler: Any) -> list[str]:
    """Names of the KV cache groups that do not hold the whole context (sliding window, Mamba, ...)."""
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    groups = scheduler.kv_cache_config.kv_cache_groups
    specs = [group.kv_cache_spec for group in groups]
    return sorted({type(spec).__name__ for spec in specs if not isinstance(spec, FullAttentionSpec)})


def usable_blocks(scheduler: Any) -> int:
    """Blocks that requests can have: one of the pool is the null block."""
    return int(scheduler.kv_cache_manager.block_pool.num_gpu_blocks) - 1


def caps(scheduler: Any) -> Caps:
    """What a step of this engine has at most."""
    config = scheduler.vllm_config.scheduler_config
    tokens = usable_blocks(scheduler) * int(scheduler.block_size)
    return Caps(tokens, int(config.max_num_seqs), int(config.max_num_batched_tokens))


def used_blocks(scheduler: Any) -> int:
    """Blocks that somebody holds; cached blocks that nobody uses count as free."""
    return usable_blocks(scheduler) - int(scheduler.kv_cache_manager.block_pool.get_num_free_blocks())


def has_blocks(request: Any) -> bool:
    """Has a request that was popped been admitted, or was it found not to be ready?"""
    return getattr(request.status, "name", "") in ("RUNNING", "WAITING_FOR_REMOTE_KVS")


def lag(scheduler: Any) -> int:
    """Steps that pass between a request's last token and the engine's knowing of it: 1 where the engine runs ahead."""
    return int(bool(getattr(scheduler.vllm_config.scheduler_config, "async_scheduling", False)))


def made(request: Any) -> int:
    """Output tokens of a running request, those in flight included."""
    return int(request.num_output_tokens) + int(getattr(request, "num_output_placeholders", 0))


def prefilling(request: Any) -> bool:
    """Is a running request still computing its prompt (or, resumed, its prompt and kept tokens)?"""
    return bool(request.num_computed_tokens < request.num_tokens - 1)


def shared_prefix(scheduler: Any) -> Callable[[Any], int]:
    """A function of a request: prompt tokens in blocks that running requests hold now (at most 128 blocks of it)."""
    pool = scheduler.kv_cache_manager.block_pool
    groups = list(range(len(scheduler.kv_cache_config.kv_cache_groups)))
    size = int(scheduler.block_size)

    def shared(request: Any) -> int:
        blocks = 0
        for block_hash in request.block_hashes[:MOST_SHARED_BLOCKS]:
            found = pool.get_cached_block(block_hash, groups)
            if not found or any(b.ref_cnt <= 0 for b in found):
                break
            blocks += 1
        return min(blocks * size, max(0, int(request.num_prompt_tokens) - 1))

    caching = getattr(scheduler.kv_cache_manager, "enable_caching", False)
    return shared if caching and len(groups) == 1 else lambda request: 0


def bring_back_skipped(scheduler: Any) -> None:
    """Up to 0.30 a request that was not ready moves to a second queue that is served first: bring it back in line."""
    skipped = getattr(scheduler, "skipped_waiting", None)
    if not skipped:
        return
    stay = []
    for _ in range(len(skipped)):
        request = skipped.pop_request()
        if getattr(request.status, "name", "") == "WAITING_FOR_REMOTE_KVS":
            stay.append(request)
        else:
            scheduler.waiting.prepend_request(request)
    for request in stay:
        skipped.add_request(request)


def can_preempt(scheduler: Any, request: Any) -> bool:
    """Can this running request give its blocks back right now?"""
    ready = getattr(scheduler, "_request_blocks_can_be_freed", None)
    return not prefilling(request) and (ready is None or bool(ready(request)))


def preempt(scheduler: Any, request: Any) -> None:
    """Make a running request yield: its tokens are kept, its blocks are freed, it goes back to the waiting queue."""
    in_flight = int(getattr(request, "num_output_placeholders", 0))
    scheduler.running.remove(request)
    scheduler._preempt_request(request, time.monotonic())
    if in_flight and not hasattr(request, "num_stale_output_tokens"):  # before 0.27
        if hasattr(request, "async_tokens_to_discard"):  # 0.22 to 0.26
            request.async_tokens_to_discard = in_flight
        elif hasattr(request, "discard_latest_async_tokens"):
            request.discard_latest_async_tokens = True
        request.num_output_placeholders = 0
    getattr(scheduler, "prev_step_scheduled_req_ids", set()).discard(request.request_id)


def ended(request: Any) -> bool | None:
    """Did a finished request end by itself (True), was it cut off at its limit (False), or is that not known?"""
    name = getattr(request.status, "name", "")
    return {"FINISHED_STOPPED": True, "FINISHED_LENGTH_CAPPED": False}.get(name)


def prefills(request: Any) -> bool:
    """Is a running request still being prefilled, so that it need not make a token in every step?"""
    return bool(request.num_computed_tokens < request.num_tokens - 1)
