"""`engine="vllm"`: the installed vLLM's scheduler on our clock gives what the serving engine gives, to the tick."""

from __future__ import annotations

import numpy as np
import pytest

from kvolume import ParameterError, ServingConfig, Workload, compare, simulate
from kvolume.engine.result import Result

pytestmark = pytest.mark.usefixtures("harness")

CLOCK = "linear:base=8e-3,request=3e-5,kv_token=3e-8,prefill_token=6e-5"
POLICIES = ("vllm", "fcfs:admission=greedy", "svf:admission=greedy", "sjf:admission=greedy", "fair-svf", "svf",
            "dominant:share=0.3,admission=greedy")  # fmt: skip


def random_case(seed: int) -> tuple[Workload, int, ServingConfig]:
    """Some requests over time, memory that is often short, and options that often bind."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 40))
    s, o = rng.integers(1, 60, n), rng.integers(1, 40, n)
    block, seqs = int(rng.choice([1, 4, 16])), int(rng.integers(2, 12))
    config = ServingConfig(
        block_size=block, max_num_seqs=seqs, max_num_batched_tokens=int(rng.choice([16, 64, 512])),
        long_prefill_token_threshold=int(rng.choice([0, 0, 7])), enable_prefix_caching=bool(seed % 2),
    )  # fmt: skip
    kv_tokens = int((s + o).max() * rng.uniform(1, 4)) + block
    return Workload(prompt_tokens=s, output_tokens=o, arrival_s=np.sort(rng.uniform(0, 2, n))), kv_tokens, config


def outcome(result: Result) -> dict[str, object]:
    """All that both engines say."""
    gaps = result.served.gaps.counted()
    return {
        "start": result.start.tolist(), "first token": result.first_token.tolist(), "finish": result.finish.tolist(),
        "evictions": result.evictions.tolist(), "queued": result.queued.tolist(),
        "stays": [x.tolist() for x in result.stays], "kv": result.kv_token_ticks,
        "gaps": [x.tolist() for x in gaps], "counts": result.served[1:],
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(42))
def test_it_is_equal_to_the_serving_engine(seed: int) -> None:
    workload, kv_tokens, config = random_case(seed)
    policy = POLICIES[seed % len(POLICIES)]
    theirs, ours = (
        simulate(workload, policy, kv_tokens=kv_tokens, clock=CLOCK, engine=engine, serving=config)
        for engine in ("vllm", "serving")
    )
    assert outcome(theirs) == outcome(ours)


def test_a_policy_that_vllm_cannot_carry_is_refused_by_name() -> None:
    workload, kv_tokens, config = random_case(0)
    with pytest.raises(ParameterError, match="evict"):
        simulate(workload, "svf:evict=last", kv_tokens=kv_tokens, clock=CLOCK, engine="vllm", serving=config)


def test_a_policy_from_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVOLUME_POLICY", "sjf")
    workload, kv_tokens, config = random_case(0)
    with pytest.raises(ParameterError, match="KVOLUME_POLICY"):
        simulate(workload, "svf", kv_tokens=kv_tokens, clock=CLOCK, engine="vllm", serving=config)


def test_compare_runs_on_the_installed_scheduler_with_its_metrics_and_bound() -> None:
    study = compare(
        Workload.synthetic("azure2023_conv", 40).burst(), ("vllm", "svf:admission=greedy"), kv_tokens=20_000,
        clock=CLOCK, engine="vllm", goodput="ttft:500",
    )  # fmt: skip
    assert all(row["ratio_to_bound"] >= 1 for row in study.rows)
    assert [row["completed"] for row in study.served_rows] == [40, 40]
