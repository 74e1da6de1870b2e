"""What vLLM's scheduler can do beside ordering keeps working under ours; under fcfs, step for step as in stock."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kvolume.vllm.harness import Job

Tweak = Callable[[Any, int], None]  # of a request, and its number
POLICIES = ("fcfs:admission=greedy", "fair-svf", "svf", "svf:admission=greedy,evict=largest")
MODES = ((False, 1), (True, 2), (False, 2))  # synchronous, asynchronous, and two batches in flight as in a pipeline


def jobs(n: int = 60, seed: int = 2, abort: float = 0.0) -> list[Job]:
    rng = random.Random(seed)
    now, out = 0.0, []
    for _ in range(n):
        now += rng.expovariate(0.6)
        after = rng.randint(0, 40) if rng.random() < abort else None
        out.append(Job(rng.randint(20, 90), rng.randint(2, 60), int(now), abort_after=after))
    return out


def tweaked(harness: Any, monkeypatch: pytest.MonkeyPatch, tweak: Tweak) -> None:
    """Change every request before the scheduler sees it."""
    plain = harness.request

    def request(i: int, *args: Any) -> Any:
        made = plain(i, *args)
        tweak(made, i)
        return made

    monkeypatch.setattr(harness, "request", request)


def both(
    harness: Any, policy: str, todo: list[Job], prepare: Callable[[Any], Any], *, asynchronous: bool = False,
    depth: int = 1, each_step: Callable[[Any], None] | None = None, **more: Any,
) -> Any:  # fmt: skip
    """The runs of vLLM's scheduler and of ours; checks what holds under every policy."""
    from kvolume.vllm.scheduler import Scheduler

    runs = []
    for made in (None, Scheduler):
        scheduler = harness.make(
            made, kv_blocks=24, asynchronous=asynchronous, settings={"policy": policy}, max_model_len=256, **more
        )
        prepare(scheduler)
        trace = harness.drive(scheduler, todo, depth=depth, each_step=each_step, most_steps=20_000)
        assert set(trace.finish) | trace.aborted == {str(i) for i in range(len(todo))}
        assert scheduler.kv_cache_manager.usage == 0
        assert not scheduler.requests
        runs.append(trace)
    stock, mine = runs
    layer = scheduler._kvolume
    assert (len(layer.book.tickets), len(layer.queue), dict(layer.guard.faults)) == (0, 0, {})
    ended = set(mine.finish) & set(stock.finish)
    assert all(mine.made[i] == stock.made[i] for i in ended)
    if policy.startswith("fcfs"):
        assert mine.schedule == stock.schedule
        assert mine.preemptions == stock.preemptions
    return SimpleNamespace(stock=stock, mine=mine, scheduler=scheduler)


# --- adapters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("asynchronous", "depth"), MODES)
def test_at_most_max_loras_adapters_run_together(
    harness: Any, monkeypatch: Any, policy: str, asynchronous: bool, depth: int
):
    from vllm.lora.request import LoRARequest

    adapters = {k: LoRARequest(f"adapter-{k}", k, "nowhere") for k in range(1, 6)}

    def tweak(request: Any, i: int) -> None:
        request.lora_request = adapters.get(i % 7)

    tweaked(harness, monkeypatch, tweak)
    limit = lambda scheduler: setattr(scheduler, "lora_config", SimpleNamespace(max_loras=2))  # noqa: E731
    run = both(harness, policy, jobs(), limit, asynchronous=asynchronous, depth=depth)
    together = [{int(i) % 7 for i, _ in step if int(i) % 7 in adapters} for step in run.mine.schedule]
    assert max(map(len, together)) == 2


def test_requests_without_a_free_adapter_slot_do_not_block_others(harness: Any, monkeypatch: Any):
    """One slot, taken by adapter 1; a small request of adapter 2 is first in order, a plain one starts before it."""
    from vllm.lora.request import LoRARequest

    adapters = {0: LoRARequest("a", 1, "nowhere"), 1: LoRARequest("b", 2, "nowhere")}
    tweaked(harness, monkeypatch, lambda request, i: setattr(request, "lora_request", adapters.get(i)))
    limit = lambda scheduler: setattr(scheduler, "lora_config", SimpleNamespace(max_loras=1))  # noqa: E731
    run = both(harness, "svf:admission=greedy", [Job(10, 30), Job(4, 4, 1), Job(50, 20, 1)], limit)
    assert run.mine.first == {"0": 0, "2": 1, "1": run.mine.finish["0"]}


# --- KV that comes from elsewhere ------------------------------------------------------------------------------


def remote(scheduler: Any, monkeypatch: pytest.MonkeyPatch, harness: Any, takes: int = 5) -> Any:
    """A KV connector that has the first two blocks of every third request and needs some steps to bring them."""
    from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1, KVConnectorMetadata
    from vllm.v1.outputs import KVConnectorOutput

    class Remote(KVConnectorBase_V1):
        def __init__(self) -> None:
            self.steps, self.due = 0, {}
            self.asked: set[str] = set()

        def get_num_new_matched_tokens(self, request: Any, num_computed_tokens: int) -> tuple[int | None, bool]:
            i = request.request_id
            if int(i) % 5 == 4 and i not in self.asked:
                self.asked.add(i)
                return None, False  # does not know yet: ask again
            there = 32 if int(i) % 3 == 0 and not request.num_preemptions else 0
            there = max(0, min(there, request.num_tokens - 1) - num_computed_tokens) // 16 * 16
            return there, there > 0

        def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
            if num_external_tokens:
                self.due[request.request_id] = self.steps + takes

        def build_connector_meta(self, scheduler_output: Any) -> Any:
            self.steps += 1
            return KVConnectorMetadata()

        def get_loaded_kv_cache_group_ids(self, request: Any) -> tuple[int, ...]:
            return ()

        def request_finished(self, request: Any, block_ids: Any) -> Any:
            return False, None

        def arrived(self) -> set[str]:
            found = {i for i, due in self.due.items() if due <= self.steps}
            for i in found:
                del self.due[i]
            return found

        start_load_kv = wait_for_layer_load = save_kv_layer = wait_for_save = lambda self, *a, **k: None

    scheduler.connector = Remote()
    plain = remote.plain = getattr(remote, "plain", harness._output)

    def output(step: Any, scheduler: Any) -> Any:
        made = plain(step, scheduler)
        made.kv_connector_output = KVConnectorOutput(finished_recving=scheduler.connector.arrived() or None)
        return made

    monkeypatch.setattr(harness, "_output", output)
    return scheduler.connector


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("asynchronous", "depth"), MODES)
def test_requests_wait_for_remote_kv_and_then_run_or_are_aborted(
    harness: Any, monkeypatch: Any, policy: str, asynchronous: bool, depth: int
):
    loading: list[int] = []

    def watch(scheduler: Any) -> None:
        loading.append(sum(r.status.name == "WAITING_FOR_REMOTE_KVS" for r in scheduler.requests.values()))

    prepare = lambda scheduler: remote(scheduler, monkeypatch, harness)  # noqa: E731
    run = both(harness, policy, jobs(abort=0.2), prepare, asynchronous=asynchronous, depth=depth, each_step=watch)
    assert max(loading) > 0
    assert run.mine.aborted


# --- structured output -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("asynchronous", "depth"), MODES)
def test_requests_wait_for_their_grammar_and_others_go_on(
    harness: Any, monkeypatch: Any, policy: str, asynchronous: bool, depth: int
):
    """Every third request has a grammar; each takes 12 steps to compile."""
    from vllm.sampling_params import StructuredOutputsParams
    from vllm.v1.request import RequestStatus
    from vllm.v1.structured_output.request import StructuredOutputRequest

    name = next(s for s in RequestStatus.__members__ if s.startswith("WAITING_FOR_STRUCTURED") or s.endswith("FSM"))
    grammar = SimpleNamespace(accept_tokens=lambda *a: True, is_terminated=lambda: False)
    since: dict[str, int] = {}
    passed: list[int] = []

    def tweak(request: Any, i: int) -> None:
        if i % 3 == 0:
            request.structured_output_request = StructuredOutputRequest(StructuredOutputsParams(choice=["a", "b"]))
            request.status = RequestStatus[name]

    def compile_(scheduler: Any) -> None:
        for i, r in scheduler.requests.items():
            if r.structured_output_request is not None and r.structured_output_request.grammar is None:
                since[i] = since.get(i, 0) + 1
                if since[i] == 12:
                    r.structured_output_request._grammar = grammar
        held = [int(i) for i, r in scheduler.requests.items() if r.status.name == name]
        passed.append(sum(int(r.request_id) > min(held, default=10**9) for r in scheduler.running))
        assert all(since[r.request_id] >= 12 for r in scheduler.running if r.structured_output_request is not None)

    tweaked(harness, monkeypatch, tweak)
    forget = lambda scheduler: since.clear()  # noqa: E731
    both(harness, policy, jobs(), forget, asynchronous=asynchronous, depth=depth, each_step=compile_)
    assert len(since) == 20
    assert max(passed) > 0
