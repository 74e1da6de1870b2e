"""The harness's simulated seconds are the serving engine's: the same schedule takes the same nanoseconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kvolume import simulate
from kvolume.clock import NS, parse_clock
from kvolume.engine.instance import prepare
from kvolume.policy import parse
from kvolume.vllm.harness import Job
from tests.engine.serving_cases import case, exact

# The proxies of one-bit are given: learned in sample, they would be others in a server, which knows only the past.
COSTS = "linear:base=8e-3,request=3e-5,kv_token=3e-8,prefill_token=6e-5,prefill_pair=7.3e-9"
POLICIES = ("vllm", "fcfs", "fair-svf", "svf", "sjf:admission=greedy", "one-bit:rule=worst-case,T=60,admission=greedy")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(8))
def test_finish_times_are_those_of_the_serving_engine_in_nanoseconds(harness: Any, policy: str, seed: int):
    """With chunked prefill, long-prefill caps, preemptions and recomputed tokens; first admissions too."""
    from kvolume.vllm.scheduler import Scheduler

    it, clock = case(seed), parse_clock(COSTS)
    workload, config = exact(it.workload), replace(it.config, enable_chunked_prefill=True)
    simulated = simulate(workload, policy, kv_tokens=it.kv_tokens, clock=clock, engine="serving", serving=config)
    given = prepare(workload, parse(policy), it.kv_tokens, clock, holding="engine")
    jobs = [Job(*map(int, row)) for row in zip(given.prompt, given.output, given.arrival, strict=True)]
    scheduler = harness.make(
        Scheduler, settings={"policy": policy, "preempted_first": False}, max_model_len=256,
        kv_blocks=it.kv_tokens // config.block_size, block=config.block_size, max_num_seqs=config.max_num_seqs,
        token_budget=config.max_num_batched_tokens, watermark=config.watermark,
        long_prefill_token_threshold=config.long_prefill_token_threshold,
        scheduler_reserve_full_isl=config.scheduler_reserve_full_isl,
    )  # fmt: skip
    trace = harness.drive(scheduler, jobs, clock=clock, block=config.block_size)
    everybody = [str(j) for j in range(len(jobs))]
    assert [trace.finish[j] for j in everybody] == np.rint(simulated.finish * NS).astype(int).tolist()
    assert [trace.first[j] for j in everybody] == np.rint(simulated.start * NS).astype(int).tolist()
    assert trace.preemptions == simulated.evictions.sum()
    assert not scheduler._kvolume.guard.faults
