"""`kvolume sweep`: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "tuple[int, str, str]"]
GIVEN = ("--policy", "vllm", "--policy", "svf", "--kv-tokens", "100", "--num-prompts", "60", "--jobs", "1")


def test_it_prints_curves_and_writes_runs_curves_and_a_chart(kvolume: Run, log: str) -> None:
    code, out, err = kvolume("sweep", log, *GIVEN, "--rates", "2,8,30", "--seeds", "2", "--out", "o")
    assert (code, err) == (0, "")
    assert "log.csv: 12 runs of 60 requests: 2 policies, 3 rates, 2 seeds" in out
    assert "knee" in out
    assert max(map(len, out.splitlines())) <= 100
    assert out.splitlines()[-5:] == [
        f"o/{name}" for name in ("spec.json", "summary.json", "curves.json", "runs.csv", "latency.svg")
    ]
    runs = json.loads(Path("o/summary.json").read_text())
    assert len(runs) == 12 == len(Path("o/runs.csv").read_text().splitlines()) - 1
    assert "Latency against rate" in Path("o/latency.svg").read_text()
    assert sorted(path.name for path in Path().iterdir()) == ["log.csv", "o"]


def test_a_server_is_swept_with_its_metrics(kvolume: Run, log: str) -> None:
    code, out, _ = kvolume(
        "sweep", log, *GIVEN, "--rates", "2,30", "--seeds", "2", "--engine", "serving", "--clock", "linear",
        "--goodput", "ttft:200", "--json",
    )  # fmt: skip
    assert code == 0
    curve = json.loads(out)["curves"][0]
    assert curve["points"][0]["p99_ttft_ms"].keys() == {"mean", "half_width"}
    assert 0 <= curve["points"][1]["good_share"]["mean"] <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rates", "1", "--loads", "1"), "give one of them"),
        (("--rates", "x"), "--rates must be numbers above 0"),
        (("--rates", "3,2"), "must ascend"),
        (("--loads", "1", "--seeds", "0"), "at least 1"),
        (("--loads", "1", "--jobs", "0"), "--jobs must be"),
        (("--loads", "1", "--kv-tokens", "64k"), "Did you mean 65536?"),
        (("--loads", "1", "--kv-tokens", "30"), "can never fit"),
        (("--loads", "1", "--arrivals", "recorded"), "sets when requests arrive"),
        (("--loads", "1", "--policy", "svg"), "Did you mean 'svf'?"),
        (("--loads", "1", "--goodput", "ttft:5"), "needs --engine serving"),
        (("--loads", "1", "--out", "log.csv"), "is a file"),
    ],
)
def test_bad_options_get_one_sentence(kvolume: Run, log: str, options: tuple[str, ...], message: str) -> None:
    where = () if "--out" in options else ("--out", "o")
    code, out, err = kvolume("sweep", log, *where, *options)
    assert (code, out) == (2, "")
    assert err.startswith("kvolume: error: ")
    assert message in err
    assert [path.name for path in Path().iterdir()] == ["log.csv"]


def test_an_interrupt_leaves_what_is_finished(kvolume: Run, log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from kvolume.study import sweep

    original, calls = sweep.run_cell, iter(range(2))

    def until_interrupted(*arguments: object) -> object:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    given = ("sweep", log, *GIVEN, "--loads", "0.8,1", "--seeds", "2", "--out", "o")
    monkeypatch.setattr(sweep, "run_cell", until_interrupted)
    assert kvolume(*given)[0] == 130
    assert sorted(p.name for p in Path("o.partial").iterdir()) == ["000000.json", "000001.json", "digest"]
    monkeypatch.setattr(sweep, "run_cell", original)
    code, _, err = kvolume(*given)
    assert code == 0
    assert "2 of 4 workloads are finished already" in err
    assert not Path("o.partial").exists()
