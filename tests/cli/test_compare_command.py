"""`kvolume compare`: what it prints and what it writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvolume.study.defaults import DEFAULT_POLICIES

Run = Callable[..., "tuple[int, str, str]"]
POLICIES = ("--policy", "vllm", "--policy", "fcfs", "--policy", "svf")


def test_it_prints_a_table_a_sentence_a_timing_and_the_paths_last(kvolume: Run, log: str) -> None:
    code, out, err = kvolume("compare", log, "--kv-tokens", "100", *POLICIES, "--out", "o")
    assert (code, err) == (0, "")
    table, rest = out.split("\n\nOn log at load")
    assert table.startswith("log: 80 requests, load ")
    assert all(any(line.startswith(name) for line in table.splitlines()) for name in ("vllm", "fcfs", "svf"))
    assert "requests per second.\n" in rest
    assert rest.splitlines()[-7:] == [
        f"o/{name}"
        for name in ("spec.json", "summary.json", "timing.json", "kv_use.svg", "latency_cdf.svg", "queue_length.svg",
                     "requests.parquet")
    ]  # fmt: skip


def test_the_default_is_the_built_in_workload_under_six_policies(kvolume: Run) -> None:
    code, out, err = kvolume("compare", "--num-prompts", "200", "--json")
    body = json.loads(out)
    assert code == 0
    assert body["workload"]["name"] == "azure2023_code"
    assert body["workload"]["load"] == pytest.approx(0.97, rel=0.02)
    assert body["workload"]["kv_tokens"] == 131072
    assert tuple(row["policy"] for row in body["policies"]) == DEFAULT_POLICIES
    assert "Generated from published quantiles" in err


def test_json_is_the_only_thing_on_stdout(kvolume: Run, log: str) -> None:
    code, out, err = kvolume("compare", log, "--kv-tokens", "100", *POLICIES, "--json", "--out", "o")
    assert code == 0
    json.loads(out)
    assert "o/spec.json" in err


def test_a_spec_runs_again_to_the_same_bytes(kvolume: Run, log: str) -> None:
    assert kvolume(
        "compare", log, "--kv-tokens", "100", "--load", "1.1", "--arrivals", "gamma:cv=2", "--num-prompts", "50",
        "--seed", "3", "--predict", "noise:sigma=0.5", *POLICIES, "--out", "one",
    )[0] == 0  # fmt: skip
    assert kvolume("compare", "--spec", "one/spec.json", "--out", "two")[0] == 0
    names = sorted(path.name for path in Path("one").iterdir())
    assert names == sorted(path.name for path in Path("two").iterdir())
    for name in names:
        if name != "timing.json":
            assert Path("one", name).read_bytes() == Path("two", name).read_bytes(), name
    assert "seconds" not in Path("one/summary.json").read_text()


def test_spec_and_options_exclude_each_other(kvolume: Run, log: str) -> None:
    kvolume("compare", log, "--kv-tokens", "100", "--out", "one")
    code, _, err = kvolume("compare", "--spec", "one/spec.json", "--kv-tokens", "50")
    assert code == 2
    assert "--spec and --kv-tokens exclude each other" in err


def test_a_full_folder_is_replaced_only_by_force_and_only_if_it_is_ours(kvolume: Run, log: str) -> None:
    run = ("compare", log, "--kv-tokens", "100", "--policy", "svf", "--out", "o")
    assert kvolume(*run)[0] == 0
    Path("o/mine.txt").write_text("x")
    code, _, err = kvolume(*run)
    assert code == 2
    assert "'o' exists and is not empty" in err
    assert Path("o/mine.txt").exists()
    assert kvolume(*run, "--force")[0] == 0
    assert not Path("o/mine.txt").exists()
    Path("precious").mkdir()
    Path("precious/thesis.tex").write_text("x")
    code, _, err = kvolume(*run[:-1], "precious", "--force")
    assert code == 2
    assert "replaces only what kvolume wrote" in err
    assert Path("precious/thesis.tex").exists()
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


def test_without_matplotlib_and_pyarrow_the_rest_is_written_with_the_cure(
    kvolume: Run, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("matplotlib", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, library, None)
    code, _, err = kvolume("compare", log, "--kv-tokens", "100", *POLICIES, "--out", "o")
    assert code == 0
    assert sorted(path.name for path in Path("o").iterdir()) == [
        "requests.csv", "spec.json", "summary.json", "timing.json",
    ]  # fmt: skip
    assert "pip install 'kvolume[plot]'" in err
    assert "pip install 'kvolume[parquet]'" in err
    rows = Path("o/requests.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * 80
    assert rows[0].startswith("policy,request,arrival,prompt_tokens")


def test_rejected_requests_are_counted(kvolume: Run, log: str) -> None:
    code, out, _ = kvolume("compare", log, "--kv-tokens", "50", "--skip-oversized", "--policy", "svf", "--json")
    row = json.loads(out)["policies"][0]
    assert code == 0
    assert row["rejected"] > 0
    assert row["injected"] == row["finished"] + row["rejected"]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table_fits_the_terminal(kvolume: Run, log: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = kvolume("compare", log, "--kv-tokens", "100")
    assert max(map(len, out.splitlines())) <= width
    assert "…" not in out
    for name in DEFAULT_POLICIES:
        assert f"\n{name} " in out


def test_stdin_is_a_dash(kvolume: Run, log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(log).open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        code, out, _ = kvolume("compare", "-", "--kv-tokens", "100", "--policy", "svf", "--json")
    assert code == 0
    assert json.loads(out)["workload"]["requests"] == 80
