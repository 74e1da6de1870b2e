"""The serving engine against vLLM's own scheduler: the same requests, tokens, preemptions and free blocks, per step.

KVOLUME_VLLM_INSTANCES says how many random instances are compared for each case (default 100).
"""

from __future__ import annotations

import os

import numpy as np
import pytest

pytest.importorskip("vllm", reason="compares with vLLM's real scheduler, where vLLM 0.32 is installed")

from tests.engine import vllm_oracle
from tests.engine.serving_cases import CLOCK, case

from kvolume.engine.instance import prepare
from kvolume.engine.serving import Server
from kvolume.policy import parse

pytestmark = pytest.mark.filterwarnings("ignore")  # of what vLLM imports
INSTANCES = int(os.environ.get("KVOLUME_VLLM_INSTANCES", "100"))
# stock policy of vLLM: the policy here that stands for it; priorities travel as predicted lengths
POLICIES = {"fcfs": "vllm", "priority": "sjf:admission=greedy,evict=last"}


def compare(seed: int, stock: str) -> tuple[int, int]:
    """Steps and preemptions compared; raises where they differ."""
    workload, kv_tokens, config = case(seed)
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
