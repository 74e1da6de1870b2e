"""No schedule of the serving engine beats its bound: all orders of small instances, and every policy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from tests.engine.serving_cases import CLOCK, KINDS, exact, made

from kvolume import ParameterError, Policy, ServingConfig, Workload, lower_bound, simulate
from kvolume.clock import Clock
from kvolume.policy import Greedy, LastInOrder, Order
from kvolume.workload import PrefixBlocks

CLOCKS = (
    CLOCK,
    Clock("base", base=100, tick_ns=1),
    Clock("prefill", base=50, prefill_token=40, tick_ns=1),
    Clock("pairs", base=50, prefill_token=1, prefill_pair=4300, tick_ns=1),
    Clock("kv", base=1, request=3, kv_token=5, tick_ns=1),
)
@dataclass(frozen=True)
class Given(Order):
    """A given order of the requests, by rank of arrival."""

    places: tuple[int, ...] = ()

    def key(self, request: Any) -> Any:
        return np.asarray(self.places)[request.id]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clock", CLOCKS, ids=lambda c: c.name)
def test_no_order_beats_the_bound(clock: Clock, kind: str) -> None:
    ratios = []
    for seed in range(60 if kind == "plain" else 20):
        it = made(kind, seed, most=4)
        w = exact(it.workload)
        bound = lower_bound(w, it.kv_tokens, clock=clock, serving=it.config).total_latency
        totals = [
            simulate(w, Policy(Given(places), Greedy(), evict), kv_tokens=it.kv_tokens, clock=clock, engine="serving",
                     serving=it.config).total_latency
            for places in permutations(range(len(w)))
            for evict in (Policy(Given()).eviction, LastInOrder())
        ]  # fmt: skip
        assert min(totals) >= bound, f"seed {seed}"
        ratios.append(min(totals) / bound)
    assert np.median(ratios) < (1.6 if kind == "plain" else 6)  # and it is not idle talk


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", ["vllm", "svf", "svf:admission=greedy,evict=last", "peak"])
def test_no_policy_beats_the_bound(policy: str, kind: str) -> None:
    for seed in range(100 if kind == "plain" else 40):
        it = made(kind, seed)
        for clock in CLOCKS:
            result = simulate(it.workload, policy, kv_tokens=it.kv_tokens, clock=clock, engine="serving",
                              serving=it.config)  # fmt: skip
            bound = lower_bound(it.workload, it.kv_tokens, clock=clock, serving=it.config)
            assert result.total_latency >= bound.total_latency


@pytest.mark.parametrize(
    "caps", [{"max_num_seqs": 2}, {"max_num_seqs": 20, "max_num_batched_tokens": 20}], ids=["sequences", "tokens"]
)
def test_the_bound_knows_which_cap_binds(caps: dict[str, int]) -> None:
    """With ample memory KV alone says little; the cap that binds makes the bound tight."""
    n = 100
    w = Workload(None, np.full(n, 19), np.full(n, 2), arrival_s=np.zeros(n))
    config, clock = ServingConfig(**caps), Clock("base", base=100, tick_ns=1)
    mean = simulate(w, "vllm", kv_tokens=100_000, clock=clock, engine="serving", serving=config).total_latency
    assert mean / lower_bound(w, 100_000, clock=clock, serving=config).total_latency < 1.05
    assert mean / lower_bound(w, 100_000, clock=clock, serving=ServingConfig()).total_latency > 5


def test_shared_beginnings_and_drafts_lower_the_bound() -> None:
    n = 40
    plain = Workload(None, np.full(n, 64), np.full(n, 9), arrival_s=np.zeros(n))
    alike = Workload(None, np.full(n, 64), np.full(n, 9), arrival_s=np.zeros(n),
                     prefix=PrefixBlocks.of([[1, 2, 3, 10 + j] for j in range(n)], 16))  # fmt: skip
    clock = Clock("base", base=100, tick_ns=1)
    bounds = [
        lower_bound(w, 1024, clock=clock, serving=config).total_latency
        for w, config in (
            (plain, ServingConfig()), (alike, ServingConfig(enable_prefix_caching=False)), (alike, ServingConfig()),
            (alike, ServingConfig(num_speculative_tokens=3)),
        )
    ]  # fmt: skip
    assert bounds[0] == bounds[1] > bounds[2] > bounds[3]


def test_only_the_mean_busy_time_bounds_the_serving_engine() -> None:
    with pytest.raises(ParameterError, match="does not hold for the engine 'serving'"):
        lower_bound(Workload([0], [1], [1]), 16, kind="prefix", serving=ServingConfig())
