"""Policies that plan by themselves: compiled equals specified, and the invariants of ARCHITECTURE.md hold for them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_equal import assert_equal
from tests.strategies import PLANNERS, Small, instances

from kvolume import lower_bound, simulate
from kvolume.engine import leap
from kvolume.engine.result import Steps
from kvolume.policy import parse
from kvolume.report.series import kv_steps

planners = st.sampled_from(PLANNERS)
fast = st.sampled_from([name for name in PLANNERS if leap.can_run(parse(name))])


def held_at(steps: Steps, at: np.ndarray) -> np.ndarray:
    k = np.searchsorted(steps.at, at, "right") - 1
    return steps.base[k] + steps.slope[k] * at


@settings(max_examples=1500)
@given(instances(most=20), fast)
def test_leap_equals_rounds(small: Small, policy: str) -> None:
    runs = [
        simulate(small.workload, policy, kv_tokens=small.kv_tokens, clock=small.clock, engine=engine)
        for engine in ("rounds", "leap")
    ]
    assert_equal(*runs)
    assert (runs[0].held is None) == (runs[1].held is None)
    if runs[0].held is not None:
        at = runs[0].held.at
        np.testing.assert_array_equal(*(held_at(r.held, at) for r in runs))


@settings(max_examples=500)
@given(instances(), planners)
def test_everybody_finishes_nobody_early_and_nobody_below_the_bound(small: Small, policy: str) -> None:
    result = simulate(small.workload, policy, kv_tokens=small.kv_tokens, clock=small.clock)
    assert result.status == "finished"
    assert result.done.all()
    assert (result.start >= result.arrival).all()
    assert (result.first_token > result.start).all()
    assert (result.finish >= result.first_token).all()
    bound = lower_bound(small.workload, small.kv_tokens, clock=small.clock).total_latency
    assert result.total_latency >= bound * (1 - 1e-9)


@settings(max_examples=300)
@given(instances(clocks=False), planners)
def test_memory_never_over_the_budget(small: Small, policy: str) -> None:
    """Counted again from the log, round by round, for the engine that compare takes."""
    result = simulate(small.workload, policy, kv_tokens=small.kv_tokens)
    steps = kv_steps(result)
    last = np.append(steps.at[1:] - 1, steps.at[-1])
    assert (steps.base + steps.slope * last).max() <= small.kv_tokens
