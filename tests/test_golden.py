"""The golden instance: both budgets, every policy by name, optimum and bounds, to the digit."""

from __future__ import annotations

import pytest

from kvolume import Workload, lower_bound, optimum, simulate
from kvolume.bound.program import lp_bound

GOLDEN = Workload([0] * 6, [1, 5, 2, 0, 4, 1], [3, 1, 4, 2, 2, 1])

STARTS = {
    (12, "fcfs"): ([0, 0, 0, 0, 3, 4], 20),
    (12, "sjf"): ([1, 0, 2, 0, 1, 0], 17),
    (12, "svf"): ([0, 0, 3, 0, 1, 0], 17),
    (8, "fcfs"): ([0, 0, 1, 3, 5, 5], 27),
    (8, "sjf"): ([3, 0, 4, 1, 1, 0], 22),
    (8, "svf"): ([2, 1, 7, 0, 5, 0], 28),
}
ALIASES = {"mc-sf": "sjf", "mc-benchmark": "fcfs", "svf:share=1": "fcfs", "svf:share=0": "svf"}


@pytest.mark.parametrize("engine", ["rounds", "leap"])
@pytest.mark.parametrize(("kv_tokens", "policy"), STARTS)
def test_starts_and_total_latency(kv_tokens: int, policy: str, engine: str) -> None:
    result = simulate(GOLDEN, policy, kv_tokens=kv_tokens, engine=engine)
    assert (result.start.tolist(), result.total_latency) == STARTS[kv_tokens, policy]


@pytest.mark.parametrize("engine", ["rounds", "leap"])
@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("kv_tokens", [8, 12])
def test_aliases_decide_alike(kv_tokens: int, alias: str, engine: str) -> None:
    result = simulate(GOLDEN, alias, kv_tokens=kv_tokens, engine=engine)
    assert result.start.tolist() == STARTS[kv_tokens, ALIASES[alias]][0]


@pytest.mark.parametrize("engine", ["rounds", "leap"])
def test_a_blocked_head_becomes_feasible_between_completions(engine: str) -> None:
    """Under SJF at M = 8, request 0 starts in round 3, when nothing completes: retrying at completions gives 24."""
    result = simulate(GOLDEN, "sjf", kv_tokens=8, engine=engine)
    completions = set(result.finish.tolist())
    assert result.total_latency == 22
    assert {int(x) for x in result.start if x > 0} - completions


@pytest.mark.parametrize(
    ("kv_tokens", "prefix", "busy", "best"), [(12, 9.8333, 13.5795, 17), (8, 14.75, 17.4754, 20)]
)
def test_bounds_and_optimum(kv_tokens: int, prefix: float, busy: float, best: int) -> None:
    assert lower_bound(GOLDEN, kv_tokens, kind="prefix").total_latency == pytest.approx(prefix, abs=5e-5)
    assert lower_bound(GOLDEN, kv_tokens).total_latency == pytest.approx(busy, abs=5e-5)
    found = optimum(GOLDEN, kv_tokens)
    assert (found.total_latency, found.proven, found.gap) == (best, True, 0.0)


@pytest.mark.parametrize("engine", ["rounds", "leap"])
def test_kept_tokens_can_beat_the_optimum_of_the_model(engine: str) -> None:
    """M = 7, (1,4), (1,5): 11 with kept tokens, optimum 12, LP 11.4; so both bound only policies that keep none."""
    w = Workload([0, 0], [1, 1], [4, 5])
    assert simulate(w, "vllm", kv_tokens=7, engine=engine).total_latency == 11
    assert optimum(w, 7).total_latency == 12
    every_start = lp_bound(w.arrival, w.prompt_tokens, w.output_tokens, 7, width=9)
    assert every_start == pytest.approx(11.4, abs=1e-4)
    lp = lower_bound(w, 7, kind="lp")
    assert 11.4 < lp.total_latency <= 12
    assert not lp.any_policy
    assert lower_bound(w, 7).any_policy
    assert lower_bound(w, 7).total_latency <= 11


@pytest.mark.parametrize("engine", ["rounds", "leap"])
def test_clearing_that_cycles_ends_as_livelock(engine: str) -> None:
    w = Workload([0, 0], [0, 0], [6, 6])
    result = simulate(w, "alpha-protection:alpha=0.3", kv_tokens=10, engine=engine)
    row = result.metrics()
    assert (row["status"], row["finished"], row["running_or_waiting"], row["mean_latency"]) == ("livelock", 0, 2, None)
    assert result.total_latency is None


@pytest.mark.parametrize("policy", ["fcfs", "sjf", "svf"])
def test_the_trap_of_the_non_clairvoyant(policy: str) -> None:
    """s = 96, M = 256, 6 of o = 160 then 194 of o = 1: FCFS 185,892, SJF and SVF 13,448 (arXiv 2601.22996)."""
    w = Workload([0] * 200, [96] * 200, [160] * 6 + [1] * 194)
    expected = {"fcfs": 185_892, "sjf": 13_448, "svf": 13_448}[policy]
    assert simulate(w, policy, kv_tokens=256).total_latency == expected
