"""Experiments: by name, the same bytes twice, published beside ours, and the page of the docs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvolume import ParameterError, UnknownNameError
from kvolume.cli import main
from kvolume.reproduce import folder
from kvolume.reproduce.catalogue import EXPERIMENTS, run
from kvolume.reproduce.chart import draw
from kvolume.reproduce.experiment import Curves, Options, Outcome, Row
from kvolume.reproduce.render import outcome_markdown, outcome_text

CURVES = Curves("n", "mean", {"svf": ([1.0, 2.0], [3.0, 4.0])}, log_x=True)
ROWS = (Row("equal", 13_448, 13_448), Row("less", 4.0, 3.0), Row("between", 1.0, (0.5, 1.5)), Row("none", None, 2.0))
OUTCOME = Outcome("example", "An example", "a paper", {"n": 3}, ROWS, ("A note.",), None, 2)


def test_differences_are_relative_and_an_interval_has_two() -> None:
    assert [r.difference for r in ROWS] == [(0.0,), (-0.25,), (-0.5, 0.5), None]


def test_an_outcome_survives_json() -> None:
    for outcome in (OUTCOME, Outcome("curves", "t", "p", {}, ROWS, curves=CURVES)):
        assert Outcome.from_json(outcome.to_json()) == outcome


def test_text_and_markdown_show_published_ours_and_the_difference() -> None:
    text = outcome_text(OUTCOME)
    assert "0.5 to 1.5  -50% to +50%" in text
    assert "13,448      13,448            0%" in text
    assert "| less | 4 | 3 | -25% |" in outcome_markdown(OUTCOME, "example.svg")


@pytest.mark.parametrize("outcome", [OUTCOME, Outcome("curves", "t", "p", {}, ROWS, curves=CURVES)])
def test_a_chart_has_the_same_bytes_twice(outcome: Outcome, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="charts need matplotlib (extra 'plot')")
    first, again = (draw(outcome, tmp_path / f"{k}.svg").read_bytes() for k in range(2))
    assert first == again
    assert b"<svg" in first


def test_the_trap_has_the_published_numbers() -> None:
    assert all(row.ours == row.published for row in run("gsa-trap", Options()).rows)


def test_the_fluid_memory_is_within_three_tokens_of_the_published() -> None:
    assert all(abs(row.ours - row.published) < 3 for row in run("wait-fluid", Options()).rows)


def test_mc_sf_lies_within_its_interval_and_a_seed_repeats() -> None:
    first, again = (run("mcsf-synthetic", Options(trials=1, seed=3)) for _ in range(2))
    assert first == again
    for row in first.rows:
        low, high = row.ours
        assert 1 <= low <= high


def test_an_unknown_experiment_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'svf-burst'"):
        run("svf-brust", Options())


def test_the_command_lists_runs_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in (*EXPERIMENTS, "adversary", "all"))
    assert main(["reproduce", "gsa-trap", "--out", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["name"] == "gsa-trap"
    assert folder.read(tmp_path, "gsa-trap").to_json() == printed.out
    assert (tmp_path / "gsa-trap.svg").is_file()


def test_all_keeps_what_is_there_unless_forced(tmp_path: Path) -> None:
    options = {"trials": None, "seed": 0}
    first = folder.run_all(tmp_path, options, names=("gsa-trap",))
    assert first["gsa-trap"] > 0
    assert folder.run_all(tmp_path, options, names=("gsa-trap",)) == {"gsa-trap": 0.0}
    assert folder.run_all(tmp_path, options | {"seed": 1}, names=("gsa-trap",))["gsa-trap"] > 0


DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_the_docs_is_made_of_what_is_in_its_folder() -> None:
    assert (DOCS / "reproduce.md").read_text(encoding="utf-8") == folder.page(DOCS / "reproduce")
    assert all(folder.read(DOCS / "reproduce", name) is not None for name in EXPERIMENTS)


@pytest.mark.parametrize("name", ["gsa-trap", "gsa-lmsys", "wait-fluid"])
def test_a_result_of_the_docs_comes_out_again(name: str) -> None:
    assert run(name, Options()) == folder.read(DOCS / "reproduce", name)


def test_the_page_is_not_written_over_another(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("# Mine\n", encoding="utf-8")
    with pytest.raises(ParameterError, match="was not made by"):
        folder.write_page(tmp_path / "mine")
