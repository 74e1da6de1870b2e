"""`kvolume fit clock` and `kvolume validate`, from log to table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.study import made
from tests.study.test_validate import SECONDS

from kvolume.profiles import Profile, to_json
from kvolume.study.validate import METRICS, STATISTICS


@pytest.fixture
def clock(tmp_path: Path) -> str:
    """A profile that knows its server."""
    path = tmp_path / "made-clock.json"
    path.write_text(to_json(Profile(seconds=SECONDS, kv_tokens=made.KV_TOKENS, serving=made.SERVING)))
    return str(path)


def test_the_command_saves_a_clock_that_every_verb_knows(
    kvolume: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVOLUME_HOME", str(tmp_path / "home"))
    log = made.step_log(tmp_path / "steps.jsonl", made.run(20))
    ran = kvolume("fit", "clock", log, "--name", "made")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, str(tmp_path / "home" / "clocks" / "made.json"))
    assert "relative error: median 0.0%" in ran.out
    assert json.loads(kvolume("fit", "clock", log, "--json").out)["kv_tokens"] == made.KV_TOKENS
    again = kvolume("fit", "clock", log, "--name", "made")
    assert (again.code, "--force" in again.err) == (2, True)
    ran = kvolume("compare", "--num-prompts", "50", "--clock", "made", "--policy", "svf", "--json")
    assert json.loads(ran.out)["workload"]["kv_tokens"] == made.KV_TOKENS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs a step log"),
        (("no.jsonl",), "'no.jsonl' cannot be read"),
        (("--name", "unit", "x"), "is a clock of kvolume's own"),
        (("--name", "a/b", "x"), "letters, digits"),
        (("--probe",), "needs --model"),
        (("--probe", "--model", "m", "x"), "reads no files"),
        (("--kv-tokens", "0", "x"), "1 to 1000000000"),
    ],
)
def test_a_bad_command_gets_one_sentence(kvolume: Callable[..., Any], arguments: tuple[str, ...], message: str) -> None:
    ran = kvolume("fit", "clock", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_the_command_prints_one_table_or_one_object(kvolume: Callable[..., Any], tmp_path: Path, clock: str) -> None:
    result = made.save(tmp_path / "r.json", made.bench(made.run(10), request_rate=float("inf")))
    ran = kvolume("validate", result, "--clock", clock)
    assert ran.code == 0
    for name in METRICS.values():
        rows = [line.split() for line in ran.out.splitlines() if line.startswith(f"{name} ")]
        assert [row[1] for row in rows] == ["mean", "median", "P90", "P95", "P99"]
        assert all(row[-1] in ("+0.0", "-0.0") for row in rows)
    found = json.loads(kvolume("validate", result, "--clock", clock, "--json").out)
    assert len(found["metrics"]) == len(METRICS) * len(STATISTICS)
    assert found["benchmark"]["request_rate"] == "inf"
    for arguments, message in (
        (("no.json", "--clock", clock), "cannot be read"),
        ((result, "--clock", "made-clok"), "Unknown clock 'made-clok'"),
        ((result, "--clock", clock, "--kv-tokens", "64"), "can never fit"),
    ):
        ran = kvolume("validate", *arguments)
        assert (ran.code, message in ran.err) == (2, True)
