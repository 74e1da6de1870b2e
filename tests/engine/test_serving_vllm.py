"""The serving engine against vLLM's own scheduler: the same requests, tokens, preemptions and free blocks, per step.

KVOLUME_VLLM_INSTANCES says how many random instances are compared for each case (default 100).
test_serving_versions.py runs this file with other versions of vLLM, with what is known to differ left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("vllm", reason="compares with vLLM's real scheduler, where vLLM 0.32 is installed")

from tests.engine import vllm_oracle
from tests.engine.serving_cases import CLOCK, KINDS, Case, exact, made

from kvolume import ServingConfig, Workload
from kvolume.clock import Clock, parse_clock
from kvolume.engine.instance import prepare
from kvolume.engine.serving import Server
from kvolume.policy import parse

pytestmark = pytest.mark.filterwarnings("ignore")  # of what vLLM imports
INSTANCES = int(os.environ.get("KVOLUME_VLLM_INSTANCES", "100"))
MOST_STEPS = 10_000  # by priority and without full reservation vLLM can preempt for ever; an ordinary run has 150
# stock policy of vLLM: the policy here that stands for it; priorities travel as predicted lengths
POLICIES = {"fcfs": "vllm", "priority": "sjf:admission=greedy,evict=last"}


# what other versions of vLLM do differently, and is left out there (docs/serving.md)
VERSION = os.environ.get("KVOLUME_VLLM_VERSION", "0.32")
OLD = VERSION < "0.31"  # caps long prefills of a request that is alone too; does not pad an admission to a decode
# by priority, who preempts itself no longer ends the step for those behind; blocks that accepted drafts fill can be
# found at once
NEW = VERSION >= "0.33"

# policies of kvolume's plug-in, with a preempted request back in its place of the order, and exact lengths
PLUGGED = (
    "svf:admission=greedy", "sjf:admission=greedy", "longest-first:admission=greedy", "peak", "svf", "fcfs",
    "fair-svf", "svf:share=0.2",
)  # fmt: skip
CACHED = ("svf:admission=greedy", "svf", "fair-svf")  # with prefix caching: their keys leave out what others hold


class Unpadded(Server):
    """As vLLM 0.24: who is found in the cache up to its last token gets one token, and no drafts."""

    def padded(self, left: int, have: int) -> int:
        return left


def compare(seed: int, stock: str, kind: str = "plain", plug_in: str = "") -> tuple[int, int]:
    """Steps and preemptions compared; raises where they differ."""
    it = made(kind, seed)
    it = it._replace(workload=exact(it.workload)) if plug_in else it
    if OLD:
        it = it._replace(config=replace(it.config, long_prefill_token_threshold=0))
    return compare_steps(it, f"seed {seed}", stock, plug_in)


def compare_steps(it: Case, what: str, stock: str, plug_in: str = "", *, longest: int = 256, clock: Clock = CLOCK,
                  most: int = MOST_STEPS) -> tuple[int, int]:  # fmt: skip
    """The same for this instance."""
    workload, kv_tokens, config = it
    ours = prepare(workload, parse(plug_in or POLICIES[stock]), kv_tokens, clock, holding="engine")
    scheduler = vllm_oracle.make(config, kv_tokens, stock, longest, plug_in)
    theirs = vllm_oracle.steps(scheduler, ours, config, most)
    mine = list(islice((Unpadded if OLD else Server)(ours, config).steps(), most))
    for k, (x, y) in enumerate(zip(mine, theirs, strict=False)):
        x = x._replace(preempted=tuple(sorted(x.preempted)))
        assert (x, list(x.tokens.items())) == (y, list(y.tokens.items())), f"{what}, step {k}"
    assert len(mine) == len(theirs), what
    return len(mine), sum(len(x.preempted) for x in mine)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stock", POLICIES)
def test_every_step_is_vllms(stock: str, kind: str, record_property: Callable[[str, object], None]) -> None:
    if NEW and (stock == "priority" or kind == "cached, drafts"):
        pytest.skip(f"vLLM {VERSION} differs here")
    steps, preemptions = np.array([compare(seed, stock, kind) for seed in range(INSTANCES)]).sum(axis=0).tolist()
    print(f"{stock}, {kind}: {INSTANCES} instances, {steps} steps, {preemptions} preemptions, all equal")
    record_property("steps", steps)
    assert steps > 30 * INSTANCES
    assert preemptions > INSTANCES


@pytest.mark.parametrize(("policy", "kind"), [(p, "plain") for p in PLUGGED] + [(p, "cached") for p in CACHED])
def test_every_step_is_vllms_with_the_plug_in(
    policy: str, kind: str, record_property: Callable[[str, object], None]
) -> None:
    done = np.array([compare(seed, "fcfs", kind, policy) for seed in range(INSTANCES)])
    steps, preemptions = done.sum(axis=0).tolist()
    print(f"{policy}, {kind}: {INSTANCES} instances, {steps} steps, {preemptions} preemptions, all equal")
    record_property("steps", steps)
    assert steps > 30 * INSTANCES


@pytest.mark.parametrize("kv_tokens", [131_072, 24_576])
@pytest.mark.parametrize("name", ["azure2023_conv", "azure2023_code"])
def test_every_step_is_vllms_on_a_real_trace(name: str, kv_tokens: int, traces: Path) -> None:
    """The first 1,000 requests as recorded, with ample and with tight memory, under the linear clock's costs."""
    pytest.importorskip("pyarrow", reason="the traces are parquet files")
    w = Workload.read(traces / f"{name}.parquet").slice(0, 1000)
    config = ServingConfig(max_num_batched_tokens=2048, enable_prefix_caching=False)
    it = Case(w.take(np.flatnonzero(w.prompt_tokens > 0)), kv_tokens, config)
    steps, preemptions = compare_steps(it, name, "fcfs", longest=1 << 15, clock=parse_clock("linear"), most=10**6)
    assert steps > len(it.workload)  # compare_steps has compared each of them
    print(f"{name}, {kv_tokens} KV tokens: {steps} steps, {preemptions} preemptions, all equal")


@pytest.mark.parametrize("policy", ["", "svf:admission=greedy", "svf"])
@pytest.mark.parametrize("kv_tokens", [1_000_000, 300_000])
def test_every_step_is_vllms_on_a_real_trace_with_common_beginnings(policy: str, kv_tokens: int, traces: Path) -> None:
    """The first 150 requests as recorded, 12,000 prompt tokens each on average, under the linear clock's costs."""
    pytest.importorskip("pyarrow", reason="the traces are parquet files")
    it = Case(Workload.read(traces / "mooncake_conversation.parquet").slice(0, 150), kv_tokens, ServingConfig())
    steps, preemptions = compare_steps(it, "mooncake", "fcfs", policy, longest=1 << 18, clock=parse_clock("linear"),
                                       most=10**6)  # fmt: skip
    assert steps > len(it.workload)
    print(f"mooncake, {policy}, {kv_tokens} KV tokens: {steps} steps, {preemptions} preemptions, all equal")
