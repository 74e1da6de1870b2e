"""The adversary: it finds what is known to be bad, repeats itself, shrinks, and shouts above a guarantee."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvolume import PolicyError, lower_bound
from kvolume.cli import main
from kvolume.policy import catalogue, parse
from kvolume.reproduce.adversary import attack, checked, examine, settings
from kvolume.reproduce.best_known import by_policy
from kvolume.reproduce.case import Case, Setting, shrunk
from kvolume.reproduce.exact import is_feasible
from kvolume.reproduce.traps import FAMILIES, traps

FINDS = json.loads((Path(__file__).parent / "finds.json").read_text(encoding="utf-8"))
KNOWN = {entry.id for entry in catalogue()}


@pytest.mark.parametrize("kept", FINDS, ids=lambda f: f"{f['policy']}, {f['setting']}")
def test_every_instance_that_was_found_is_as_bad_as_it_was(kept: dict[str, object]) -> None:
    find = checked(kept["policy"], examine(kept["policy"], Case.from_dict(kept["instance"])))
    assert (find.total, find.best) == (kept["total_latency"], kept["best"])


def test_the_same_seed_finds_the_same_and_every_find_keeps_to_its_setting() -> None:
    first, again = (attack("sjf", trials=3, seed=5) for _ in range(2))
    assert first == again
    allowed = {s.name: s for s in settings("sjf")}
    for find in first:
        if find.case is not None:
            assert allowed[find.setting].allows(find.case)
            assert find.bound <= find.best <= find.total


def test_it_finds_the_traps() -> None:
    worst = {f.origin.partition(",")[0]: f.ratio for f in attack("fcfs", trials=1) if f.setting == "traps"}
    assert worst["long ones first"] > 10
    assert worst["a crowd one round late"] == 8
    worst = {f.origin.partition(",")[0]: f.ratio for f in attack("svf", trials=1) if f.setting == "traps"}
    assert 1.7 < worst["identical requests"] < 2
    assert worst["long ones first"] == 1


def test_a_ratio_above_the_guarantee_is_an_error_with_the_instance() -> None:
    find = examine("fcfs", Case(((0, 3, 4), (0, 3, 1), (0, 3, 1)), 7))
    assert (find.total, find.best) == (15, 9)
    assert checked("fcfs", find) is find
    with pytest.raises(PolicyError, match=r"above its guarantee of 1.1, on .*'output': \[4, 1, 1\]"):
        checked("fcfs", replace(find, guarantee=1.1))


def test_a_policy_that_never_finishes_is_infinitely_bad() -> None:
    find = examine("alpha-protection", Case(((0, 0, 6), (0, 0, 6)), 10))
    assert find.ratio == float("inf")
    assert find.to_dict()["ratio"] is None


@pytest.mark.parametrize("trap", list(traps()), ids=lambda t: f"{t.name}, n = {len(t.workload)}")
def test_the_good_schedule_of_a_trap_is_feasible_and_better_than_the_policies(trap: object) -> None:
    w = trap.workload
    if trap.good_start is not None:
        total = int((trap.good_start + w.output_tokens - w.arrival).sum())
        assert is_feasible(w.arrival, w.prompt_tokens, w.output_tokens, trap.good_start, trap.kv_tokens)
        assert lower_bound(w, trap.kv_tokens).total_latency <= total <= by_policy(w, trap.kv_tokens).total_latency
    assert (w.prompt_tokens + w.output_tokens).max() <= trap.kv_tokens


def test_families_have_names_of_their_own() -> None:
    assert len({family(4).name for family in FAMILIES}) == len(FAMILIES)


@given(st.integers(0, 10_000), st.sampled_from(settings("svf") + settings("a-max")))
def test_drawn_cases_keep_the_rules_and_survive_json(seed: int, setting: Setting) -> None:
    rng = np.random.default_rng(seed)
    case = setting.draw(rng)
    assert setting.allows(case)
    assert Case.from_dict(json.loads(json.dumps(case.to_dict()))) == case
    changed = setting.changed(case, rng)
    if setting.allows(changed):
        w = changed.workload()
        assert (w.prompt_tokens + w.output_tokens).max() <= changed.kv_tokens
        if changed.spread > 1:
            assert (w.lower <= w.output_tokens).all()
            assert (w.output_tokens <= w.upper).all()


def test_a_shrunk_case_cannot_be_made_smaller() -> None:
    case = Case(((3, 4, 5), (4, 1, 7), (3, 0, 2)), 30)
    small = shrunk(case, lambda c: sum(o for _, _, o in c.rows) >= 6 and c.kv_tokens >= 10)
    assert (len(small.rows), small.kv_tokens, small.rows[0][:2]) == (1, 10, (0, 0))
    assert small.rows[0][2] == 6 or small.rows[0][2] == 7


def test_the_command_prints_the_finds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "adversary", "--policy", "fcfs", "--trials", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["policy"] == "fcfs"
    assert {"setting", "ratio", "guarantee", "instance"} <= set(found["finds"][0])
    assert main(["reproduce", "adversary", "--policy", "fcfs", "--trials", "2"]) == 0
    assert "Worst small instance" in capsys.readouterr().out


@pytest.mark.parametrize("trials", ["0", "1.5"])
def test_bad_trials_are_said(trials: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "adversary", "--trials", trials]) == 2
    assert "trials" in capsys.readouterr().err


def test_every_policy_that_was_attacked_exists() -> None:
    for kept in FINDS:
        assert parse(kept["policy"]).name == kept["policy"]
