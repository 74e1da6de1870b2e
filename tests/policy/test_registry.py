"""Policies by name: strings, defaults, and what a wrong one is told."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest
from tests.strategies import PLANNERS, POLICIES

from kvolume import ParameterError, PolicyError, UnknownNameError, Workload, simulate
from kvolume.policy import Arrival, Entry, Latest, LookAhead, Order, Policy, catalogue, find, parse, registry
from kvolume.policy.policy import Policy as PolicyClass
from kvolume.testing import check_policy


@pytest.mark.parametrize("text", POLICIES + PLANNERS)
def test_every_built_in_passes_the_conformance_suite(text: str) -> None:
    check_policy(text)


@pytest.mark.parametrize("entry", catalogue(), ids=lambda e: e.id)
def test_every_entry_is_made_by_its_defaults_and_describes_itself(entry: Entry) -> None:
    assert parse(entry.id).name == entry.id
    assert entry.summary.endswith(".")
    assert entry.knowledge
    assert entry.guarantee
    assert all(p.meaning for p in entry.parameters.values())


def test_defaults_are_look_ahead_and_latest_and_vllm_is_greedy() -> None:
    for entry in catalogue():
        policy = parse(entry.id)
        if not isinstance(policy, PolicyClass):
            continue
        own = {"vllm": "greedy", "fair-svf": "greedy", "peak": "peak", "alpha-protection": "protected"}
        expected = own.get(entry.id, "look-ahead")
        assert policy.admission.name == expected
        assert policy.eviction.keep == (entry.id != "alpha-protection")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("svg", "Unknown policy 'svg'. Did you mean 'svf'?"),
        ("svf:shar=0.1", "Unknown parameter of policy svf 'shar'. Did you mean 'share'?"),
        ("svf:admission=gredy", "Unknown admission 'gredy'. Did you mean 'greedy'?"),
        ("svf:evict=newest", "Unknown eviction 'newest'."),
        ("svf:aging=lin", "Unknown aging 'lin'. Did you mean 'linear'?"),
        ("one-bit:rule=worst", "Unknown rule 'worst'. Did you mean 'worst-case'?"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(text: str, message: str) -> None:
    with pytest.raises(UnknownNameError) as error:
        parse(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("svf:share=2", "The 'share' parameter of policy svf must be a number in [0, 1]. Got '2' instead."),
        ("svf:share=nan", "Got 'nan' instead."),
        ("svf:share", "has 'share' where key=value is expected"),
        ("svf:share=0.1,share=0.2", "gives 'share' twice"),
        ("svf:kappa=3", "The 'kappa' parameter of policy svf needs aging=log."),
        ("svf:alpha=0.3", "The 'alpha' parameter of policy svf needs admission=protected."),
        ("svf:beta=0.3", "The 'beta' parameter of policy svf needs evict=random."),
        ("svf:backfill=1.5", "must be an integer"),
        ("vllm:keep=yes", "The 'keep' parameter of policy vllm"),
        (":share=1", "has no name"),
        ("one-bit:theta=0", "The 'theta' parameter of policy one-bit must be an integer >= 1. Got '0' instead."),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(ParameterError) as error:
        parse(text)
    assert message in str(error.value)


def test_aliases_share_the_entry_of_their_target() -> None:
    assert find("mc-sf").make is find("sjf").make
    assert find("mc-benchmark").alias_of == "fcfs"


class ShortestPrompt(Order):
    def key(self, request: object) -> object:
        return request.prompt


class Branching(Order):
    def key(self, request: object) -> object:
        return 0 if request.prompt > 3 else 1


class Impure(Order):
    calls = 0

    def key(self, request: object) -> object:
        Impure.calls += 1
        return request.prompt * (-1) ** Impure.calls


def test_a_third_party_order_runs_in_both_engines() -> None:
    policy = Policy(ShortestPrompt(), name="shortest-prompt")
    check_policy(policy)
    w = Workload([0] * 4, [9, 1, 5, 3], [2] * 4)
    runs = [simulate(w, policy, kv_tokens=11, engine=e).start.tolist() for e in ("rounds", "leap")]
    assert runs[0] == runs[1]
    assert np.argsort(runs[0], kind="stable").tolist() == [1, 3, 2, 0]


def test_the_checker_catches_a_key_that_fails_on_arrays() -> None:
    with pytest.raises(PolicyError, match=r"use arithmetic and NumPy functions such as np.where"):
        check_policy(Policy(Branching(), name="branching"))


def test_the_checker_catches_a_key_that_changes() -> None:
    with pytest.raises(PolicyError, match="among all"):
        check_policy(Policy(Impure(), name="impure"))


class Overrun(LookAhead):
    def admits(self, request: object, state: object) -> bool:
        return True


def test_the_checker_catches_an_admission_that_overruns_the_budget() -> None:
    with pytest.raises(PolicyError, match=r"needs .* KV tokens in round"):
        check_policy(Policy(Arrival(), Overrun(), Latest(), name="overrun"))


ENTRY = Entry("shortest-prompt-elsewhere", "Shortest prompt first.", lambda v: Policy(ShortestPrompt()))


def test_an_installed_package_adds_a_policy_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(ENTRY.id, f"{__name__}:ENTRY", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.GROUP else [])
    registry._entries.cache_clear()
    try:
        assert parse(ENTRY.id).name == ENTRY.id
        assert ENTRY in catalogue()
    finally:
        registry._entries.cache_clear()


def test_a_registered_policy_is_found_by_name() -> None:
    entry = Entry("shortest-prompt-test", "Shortest prompt first.", lambda v: Policy(ShortestPrompt()))
    registry.register(entry)
    try:
        assert parse("shortest-prompt-test").name == "shortest-prompt-test"
        with pytest.raises(ParameterError, match="exists already"):
            registry.register(find("svf"))
    finally:
        registry._registered.clear()
