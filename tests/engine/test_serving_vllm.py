"""The serving engine against vLLM's own scheduler: the same requests, tokens, preemptions and free blocks, per step.

KVOLUME_VLLM_INSTANCES says how many random instances are compared for each case (default 100).
"""

from __future__ import annotations

import os

import numpy as np
import pytest

pytest.importorskip("vllm", reason="compares with vLLM's real scheduler, where vLLM 0.32 is installed")

from tests.engine import vllm_oracle

from kvolume import Workload
from kvolume.clock import Clock
from kvolume.engine.instance import prepare
from kvolume.engine.serving import Server
from kvolume.engine.serving_config import ServingConfig
from kvolume.policy import parse

pytestmark = pytest.mark.filterwarnings("ignore")  # of what vLLM imports
INSTANCES = int(os.environ.get("KVOLUME_VLLM_INSTANCES", "100"))
CLOCK = Clock("test", base=1000, request=7, kv_token=1, prefill_token=13, tick_ns=1)
# stock policy of vLLM: the policy here that stands for it; priorities travel as predicted lengths
POLICIES = {"fcfs": "vllm", "priority": "sjf:admission=greedy,evict=last"}


def instance(rng: np.random.Generator) -> tuple[Workload, int, ServingConfig]:
    """Short requests, all at once or over time, with memory from just enough to ample, and any options."""
    n = int(rng.integers(1, 24))
    block = int(rng.choice([1, 2, 4, 16]))
    s, o = rng.integers(1, int(rng.choice([6, 40, 120])), n), rng.integers(1, int(rng.choice([4, 30, 80])), n)
    least = -(-int((s + o - 1).max()) // block)
    usable = int(least * rng.choice([1, 1.3, 2, 4, 20])) + int(rng.integers(0, 3))
    chunked = bool(rng.random() < 0.75)
    budget = int(rng.choice([4, 16, 64, 256])) if chunked else 256
    config = ServingConfig(
        block_size=block,
        max_num_batched_tokens=budget,
        max_num_seqs=int(rng.integers(1, min(budget, 24) + 1)),
        enable_chunked_prefill=chunked,
        long_prefill_token_threshold=int(rng.choice([0, 0, 1, 5, 30])),
        scheduler_reserve_full_isl=bool(rng.random() < 0.6),
        watermark=float(rng.choice([0, 0, 0.01, 0.1, 0.3])),
    )
    spread = int(rng.choice([0, 3_000, 60_000]))
    arrival = np.sort(rng.integers(0, spread + 1, n))
    # by priority, vLLM breaks ties of the victim by arrival time: let a few requests tie in everything
    return Workload(None, s, o, arrival_s=arrival * 1e-9, predicted=rng.integers(1, 6, n)), usable * block, config


def compare(seed: int, stock: str) -> tuple[int, int]:
    """Steps and preemptions compared; raises where they differ."""
    workload, kv_tokens, config = instance(np.random.default_rng(seed))
    ours = prepare(workload, parse(POLICIES[stock]), kv_tokens, CLOCK, holding="engine")
    jobs = [
        (int(ours.arrival[j]), int(ours.prompt[j]), int(ours.output[j]), int(ours.predicted[j]))
        for j in range(len(ours))
    ]
    scheduler = vllm_oracle.make(config, kv_tokens, stock, longest=256)
    theirs = vllm_oracle.steps(scheduler, jobs, CLOCK)
    mine = list(Server(ours, config).steps())
    for k, (x, y) in enumerate(zip(mine, theirs, strict=False)):
        x = x._replace(preempted=tuple(sorted(x.preempted)))
        assert (x, list(x.tokens.items())) == (y, list(y.tokens.items())), f"seed {seed}, step {k}"
    assert len(mine) == len(theirs), f"seed {seed}"
    return len(mine), sum(len(x.preempted) for x in mine)


@pytest.mark.parametrize("stock", POLICIES)
def test_every_step_is_vllms(stock: str, record_property: pytest.FixtureRequest) -> None:
    steps, preemptions = np.array([compare(seed, stock) for seed in range(INSTANCES)]).sum(axis=0).tolist()
    print(f"{stock}: {INSTANCES} instances, {steps} steps, {preemptions} preemptions, all equal")
    record_property("steps", steps)
    record_property("preemptions", preemptions)
    assert steps > 30 * INSTANCES
    assert preemptions > INSTANCES
