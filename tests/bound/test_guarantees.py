"""Guarantees as code: the papers' constants, which assumption fails, and no small instance above a ratio."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from tests.strategies import Small, instances

from kvolume import InputError, UnknownNameError, Workload, simulate
from kvolume.bound import guarantee
from kvolume.bound.ratios import (
    a_max_ratio,
    gba_ratio,
    gsa_ratio,
    one_bit_oracle_ratio,
    one_bit_poisson_ratio,
    poisson_ratio,
    svf_ratio,
)
from kvolume.policy import LookAhead, Policy, Volume, catalogue
from kvolume.reproduce.exact import tiny_optimum

ATTACKED = (
    "svf", "svf:share=0.3", "svf:aging=log", "sjf", "fcfs", "random", "longest-first", "peak", "fair-svf",
    "easy-svf", "dominant", "one-bit:rule=worst-case", "one-bit:rule=worst-case,T=30",
)  # fmt: skip
BURST = Workload([0] * 4, [1, 5, 2, 0], [3, 1, 4, 2])


@given(instances(most=6, longest=8, predictions=False, clocks=False, spread=0))
def test_no_burst_is_above_a_guarantee(small: Small) -> None:
    w, m = small.workload, small.kv_tokens
    best, _ = tiny_optimum(w.arrival, w.prompt_tokens, w.output_tokens, m)
    for policy in ATTACKED:
        proven = guarantee(policy, w, m).ratio
        if proven is not None:
            assert simulate(w, policy, kv_tokens=m).total_latency <= proven * best * (1 + 1e-9)


def test_the_published_constants() -> None:
    assert [round(svf_ratio(a), 2) for a in (1 / 2, 1 / 4, 1 / 10, 1 / 100)] == [5, 3.67, 3.22, 3.02]
    assert gsa_ratio(1.7676) == pytest.approx(61.92, abs=0.01)
    assert gsa_ratio(2, large_memory=True) == 32
    assert round(gba_ratio(4 / 3), 2) == 10.67
    assert gba_ratio(3 / 2, large_memory=True) == 6.75
    assert one_bit_oracle_ratio(16, 0.5) == 65
    assert a_max_ratio(1) == 1
    assert poisson_ratio(0.5, 0.5, 0.5) == 17
    assert poisson_ratio(0.5, 0.5, 1) == float("inf")
    assert one_bit_poisson_ratio(0.5, 0.5, 0.5, 1, 20) > poisson_ratio(0.5, 0.5, 0.5)


def test_on_equal_prompts_the_shortest_output_has_the_smallest_volume_and_so_its_guarantee() -> None:
    equal = Workload([0] * 4, [2] * 4, [3, 1, 4, 2])
    assert guarantee("mc-sf", equal, 12).ratio == guarantee("svf", equal, 12).ratio == 5
    assert guarantee("mc-sf", BURST, 12).ratio is None
    assert guarantee("fcfs", equal.take([1, 3, 0, 2]), 12).ratio == 5


@pytest.mark.parametrize(
    ("policy", "kv_tokens", "says"),
    [
        ("svf", 12, "svf is at most 5 = 1 + 2/(1-alpha) times the optimum, alpha = 0.5 (SVF, Theorem 3.2)."),
        ("svf", 6, "the proof needs every peak below M, and the largest is 1 M"),
        ("fair-svf", 12, "the proof needs look-ahead admission, and it is greedy"),
        ("svf:backfill=2", 12, "a queue served strictly in order, and 2 misfits may be passed over"),
        ("easy-svf", 12, "a queue served strictly in order, and this policy may serve it otherwise"),
        ("fcfs", 12, "the smallest volume first, and here one of volume 9 goes before one of 6"),
        ("one-bit", 12, "the proof needs rule=worst-case, and the rule is empirical"),
        ("one-bit:rule=worst-case,T=3", 12, "T no smaller than the longest output, and T = 3"),
        ("svf:share=1", 12, "a share below 1, and share = 1"),
        ("a-min", 12, "a-min has no proven ratio: the paper proves O(log(u/l))"),
        ("gsa", 12, "prompts of one length, and these go from 0 to 5 tokens"),
        ("sorted-f", 12, "48 times the optimum in the limit only: memory large against every request"),
    ],
)
def test_it_says_what_holds_or_which_assumption_fails(policy: str, kv_tokens: int, says: str) -> None:
    assert says in guarantee(policy, BURST, kv_tokens).sentence


def test_arrivals_and_wrong_lengths_fail() -> None:
    over_time = BURST.with_arrivals([0, 0, 4, 4])
    assert "all requests at once, and these arrive over 4 rounds" in guarantee("svf", over_time, 12).sentence
    wrong = Workload([0] * 2, [1, 1], [3, 3], predicted=[3, 4])
    assert "exact lengths, and predictions differ" in guarantee("svf", wrong, 12).sentence
    assert guarantee("svf", wrong, 12).ratio is None


def test_what_a_first_slice_may_be() -> None:
    equal = Workload([0] * 3, [2] * 3, [3, 4, 4])
    assert guarantee("gsa:tau0=3", equal, 30).ratio == 64
    assert "first slice is 4, the shortest output 3" in guarantee("gsa:tau0=4", equal, 30).sentence
    assert guarantee("sps", equal.take([1, 2]), 30).ratio == 2


class Eager(LookAhead):
    def admits(self, request: object, state: object) -> bool:
        return False


def test_a_subclass_of_a_known_rule_is_not_trusted() -> None:
    assert guarantee(Policy(Volume(), name="mine"), BURST, 12).ratio == 5
    assert guarantee(Policy(Volume(), Eager(), name="mine"), BURST, 12).ratio is None


def test_a_proof_in_the_limit_gives_no_ratio() -> None:
    found = guarantee("sorted-f", BURST, 1000)
    assert (found.ratio, found.value) == (None, 48)


@pytest.mark.parametrize("entry", catalogue(), ids=lambda e: e.id)
def test_every_policy_has_an_answer(entry: object) -> None:
    found = guarantee(entry.id, BURST, 40)
    assert found.sentence.startswith(entry.id)
    assert found.sentence.endswith(".")
    assert set(found.to_dict()) == {"policy", "ratio", "formula", "source", "value", "sentence", "assumptions"}


def test_what_it_refuses() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'svf'"):
        guarantee("svff", BURST, 12)
    with pytest.raises(InputError, match="can never fit"):
        guarantee("svf", BURST, 5)


def test_predictions_that_are_right_are_exact() -> None:
    rng = np.random.default_rng(0)
    o = rng.integers(1, 9, 6)
    w = Workload([0] * 6, rng.integers(0, 9, 6), o, predicted=o)
    assert guarantee("svf", w, 40).ratio is not None
