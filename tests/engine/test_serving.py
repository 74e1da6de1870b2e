"""The compiled serving engine equals its specification in every field, and both keep what they must."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.engine.serving_cases import CLOCK, KINDS, Case, case, exact, made, wrong

from kvolume import InputError, ParameterError, Result, UnknownNameError, Workload, simulate
from kvolume.engine import ServingConfig

INSTANCES = int(os.environ.get("KVOLUME_SERVING_INSTANCES", "60"))
POLICIES = (
    "vllm", "sjf:admission=greedy,evict=last", "svf:admission=greedy", "svf", "fcfs", "svf:share=0.3",
    "svf:share=0.2,admission=greedy", "svf:backfill=2", "vllm:backfill=3", "vllm:evict=largest", "svf:evict=largest",
    "peak", "svf:admission=protected,alpha=0.2", "one-bit:theta=4", "svf:evict=last,admission=peak", "random:seed=3",
    "svf:aging=log,admission=greedy",
)  # fmt: skip


def run(it: Case, policy: str, engine: str) -> Result:
    return simulate(it.workload, policy, kv_tokens=it.kv_tokens, clock=CLOCK, engine=engine, serving=it.config)


def assert_equal(x: Result, y: Result) -> None:
    assert x.status == y.status
    for name in ("arrival", "start", "first_token", "finish", "evictions", "queued"):
        np.testing.assert_array_equal(getattr(x, name), getattr(y, name), err_msg=name)
    np.testing.assert_allclose(x.kv_token_ticks, y.kv_token_ticks, rtol=1e-9)
    stays = [sorted(map(tuple, np.array(r.episodes).T.tolist())) for r in (x, y)]
    assert stays[0] == stays[1]
    assert x.served[1:] == y.served[1:]
    for a, b in zip(x.served.gaps.counted(), y.served.gaps.counted(), strict=True):
        assert a.tolist() == b.tolist()
    begin = dict(zip(*(column.tolist() for column in x.segments), strict=True))
    assert all(begin[step] == tick for step, tick in zip(*(c.tolist() for c in y.segments), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_kernel_equals_the_specification(policy: str, kind: str) -> None:
    for seed in range(INSTANCES if kind == "plain" else INSTANCES // 2):
        it = made(kind, seed)
        workload = (it.workload, exact(it.workload), wrong(it.workload, seed))[seed % 3]
        it = it._replace(workload=workload)
        x, y = run(it, policy, "serving-steps"), run(it, policy, "serving")
        assert y.engine == "serving"
        try:
            assert_equal(x, y)
        except AssertionError:
            print(f"seed {seed}: {it}")
            raise


@pytest.mark.parametrize("caching", [False, True])
@pytest.mark.parametrize("policy", ["vllm", "svf:admission=greedy", "svf"])
def test_the_kernel_equals_the_specification_on_a_busy_server(policy: str, caching: bool) -> None:
    rng = np.random.default_rng(0)
    n = 400
    w = Workload(
        None, rng.integers(1, 400, n), rng.integers(1, 300, n), arrival_s=np.cumsum(rng.exponential(40_000, n)) * 1e-9
    )
    it = Case(w, 16 * 500, ServingConfig(max_num_batched_tokens=512, max_num_seqs=64,
                                          enable_prefix_caching=caching))  # fmt: skip
    assert_equal(run(it, policy, "serving-steps"), run(it, policy, "serving"))


@pytest.mark.parametrize("policy", ["vllm", "svf:admission=greedy"])
def test_the_kernel_equals_the_specification_on_a_real_trace_with_common_beginnings(policy: str, traces: Path) -> None:
    pytest.importorskip("pyarrow", reason="the traces are parquet files")
    it = Case(Workload.read(traces / "mooncake_conversation.parquet").slice(0, 250), 300_000, ServingConfig())
    x, y = run(it, policy, "serving-steps"), run(it, policy, "serving")
    assert_equal(x, y)
    assert y.served.cached_tokens > 100_000
    assert y.evictions.sum() > 0


def test_where_no_two_prompts_begin_alike_caching_matters_only_after_a_preemption() -> None:
    for seed in range(INSTANCES):
        it = case(seed)
        cached = it._replace(config=replace(it.config, enable_prefix_caching=True))
        x, y = run(it, "vllm", "serving"), run(cached, "vllm", "serving")
        if not x.evictions.any():
            assert_equal(x, y)
        assert_equal(run(cached, "vllm", "serving-steps"), y)


def test_drafts_that_are_all_accepted_divide_the_steps() -> None:
    w = Workload(None, [10], [41], arrival_s=[0.0])
    for accepted, steps in ((1, 11), (0, 41)):
        config = ServingConfig(num_speculative_tokens=3, acceptance_rate=accepted)
        result = simulate(w, "vllm", kv_tokens=160, clock=CLOCK, engine="serving", serving=config)
        assert result.served.steps == steps
        assert result.served.computed_tokens == 10 + (steps - 1) * 4


def test_times_are_in_order_and_everybody_finishes() -> None:
    for seed in range(INSTANCES):
        it = case(seed)
        result = run(it, POLICIES[seed % len(POLICIES)], "serving")
        assert result.status == "finished"
        assert (result.start >= result.arrival).all()
        assert (result.first_token > result.start).all()
        assert (result.finish >= result.first_token).all()
        gaps = result.served.gaps.counted()
        assert gaps[1].sum() == (it.workload.output_tokens - 1).sum()  # a gap for every token but the first
        assert gaps[0] @ gaps[1] == round((result.finish - result.first_token).sum() / 1e-9)
        once = it.workload.prompt_tokens.sum() + (it.workload.output_tokens - 1).sum()
        assert result.served.computed_tokens == once + result.served.recomputed_tokens


def test_a_single_server_queue_is_lindleys() -> None:
    """One sequence, one prompt token, recompute free: waiting times follow Lindley's recursion."""
    rng = np.random.default_rng(1)
    n = 500
    o = rng.integers(1, 20, n)
    a = np.cumsum(rng.integers(0, 40, n))
    result = simulate(
        Workload(a, np.ones(n, int), o), "vllm", kv_tokens=10_000, engine="serving", serving="max_num_seqs=1"
    )
    free, finish = 0, []
    for arrival, service in zip(a.tolist(), o.tolist(), strict=True):
        free = max(free, arrival) + service
        finish.append(free)
    assert result.finish.tolist() == finish


def test_what_can_never_run_is_refused() -> None:
    w = Workload([0, 0], [5, 0], [5, 2])
    with pytest.raises(InputError, match="Request 2 of 'workload' has no prompt token"):
        simulate(w, "vllm", kv_tokens=100, engine="serving")
    with pytest.raises(ParameterError, match="at least one block of 16 tokens"):
        simulate(Workload([0], [1], [1]), "vllm", kv_tokens=10, engine="serving")
    with pytest.raises(InputError, match="can never fit into 16 KV tokens"):
        simulate(Workload([0], [15], [3]), "vllm", kv_tokens=31, engine="serving")
    assert simulate(Workload([0], [15], [2]), "vllm", kv_tokens=31, engine="serving").kv_tokens == 16
    whole = ServingConfig(max_num_batched_tokens=300, enable_chunked_prefill=False)
    drafts = ServingConfig(num_speculative_tokens=3, num_lookahead_tokens=3)
    with pytest.raises(InputError, match="needs 12 KV tokens and 6 more for drafts, but there are 16"):
        simulate(Workload([0], [10], [3]), "vllm", kv_tokens=16, engine="serving", serving=drafts)
    with pytest.raises(InputError, match="prefill 302 tokens at once"):
        simulate(Workload([0], [300], [3]), "vllm", kv_tokens=1000, engine="serving", serving=whole)
    with pytest.raises(ParameterError, match="need engine='serving'"):
        simulate(Workload([0], [1], [1]), "vllm", serving="max_num_seqs=4")
    with pytest.raises(UnknownNameError, match="Did you mean 'serving'"):
        simulate(Workload([0], [1], [1]), "vllm", engine="servin")


def test_a_server_that_preempts_for_ever_is_stopped() -> None:
    """By priority, with long prefills capped and without full reservation, vLLM's own scheduler can go on for ever."""
    it = case(209)
    assert not it.config.scheduler_reserve_full_isl
    result = run(it, "sjf:admission=greedy,evict=last", "serving")
    assert result.status == "livelock"
    row = result.metrics()
    assert row["injected"] == row["finished"] + row["running_or_waiting"]
    it = it._replace(config=replace(it.config, scheduler_reserve_full_isl=True))
    assert run(it, "sjf:admission=greedy,evict=last", "serving").status == "finished"
