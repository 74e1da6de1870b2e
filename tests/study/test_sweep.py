"""A sweep says the same on any number of cores, and means what it says of rates that are kept up with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kvolume import InputError, ParameterError, Workload, compare, simulate
from kvolume.study.backlog import pile_up
from kvolume.study.findings import Findings
from kvolume.study.spec import CompareSpec
from kvolume.study.sweep import Cell, SweepSpec, run_cell, run_cells
from kvolume.study.sweep_files import Partial
from kvolume.study.sweep_run import parse_axis, sweep_all

BASE = CompareSpec(policies=("fcfs", "svf"), num_prompts=150, arrivals="poisson")
SMALL = SweepSpec(base=BASE, loads=(0.7, 1.3), kv_tokens=(65_536, 131_072), seeds=2)


def test_the_same_bytes_on_one_core_and_on_two(tmp_path: Path) -> None:
    for jobs in (1, 2):
        sweep_all(SMALL, jobs, out=tmp_path / f"{jobs}")
    one, two = (sorted((tmp_path / f"{jobs}").iterdir()) for jobs in (1, 2))
    assert [p.name for p in one] == [p.name for p in two] == ["curves.json", "runs.csv", "spec.json", "summary.json"]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(one, two, strict=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2"]


def test_an_interrupted_sweep_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    out = tmp_path / "o"
    partial = Partial(SMALL, out)
    for cell in SMALL.cells[3:5]:
        partial.keep(cell, run_cell(SMALL, cell))
    (partial.folder / "000000.json").write_text('[{"cut')
    said: list[str] = []
    steps: list[int] = []
    sweep_all(SMALL, 1, out=out, note=said.append, progress=lambda what, done, total: steps.append(done))
    assert said == ["2 of 8 workloads are finished already; going on with the rest."]
    assert steps == list(range(3, 9))
    sweep_all(SMALL, 1, out=tmp_path / "whole")
    assert (out / "summary.json").read_bytes() == (tmp_path / "whole" / "summary.json").read_bytes()


def test_the_part_of_another_sweep_is_not_taken(tmp_path: Path) -> None:
    Partial(SMALL, tmp_path / "o")
    other = SweepSpec(base=BASE, loads=(0.7,), kv_tokens=(65_536,))
    with pytest.raises(ParameterError, match="part of another sweep"):
        Partial(other, tmp_path / "o")
    assert Partial(other, tmp_path / "o", force=True).finished() == {}


def test_a_changed_source_is_another_sweep(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    spec = SweepSpec(base=CompareSpec(source=str(log)), loads=(0.7,), kv_tokens=(1000,))
    digests = set()
    for text in ("0,1,2", "0,1,3"):
        log.write_text(f"arrival_s,input_length,output_length\n{text}\n")
        digests.add(spec.digest())
    assert len(digests) == 2


def test_a_record_is_what_compare_says() -> None:
    record = run_cell(SMALL, Cell(1.3, 65_536, 1))[1]
    row = compare(policies="svf", num_prompts=150, arrivals="poisson", load=1.3, kv_tokens=65_536, seed=1).rows[0]
    assert (record["policy"], record["load"], record["seed"]) == ("svf", 1.3, 1)
    assert all(record[key] == row[key] for key in ("mean_latency", "p99", "ratio_to_bound", "evictions"))


def test_a_spec_goes_to_json_and_back() -> None:
    assert SweepSpec.from_json(SMALL.to_json()) == SMALL
    for text in ("[]", "{}", '{"study": "compare", "base": {}}', "no"):
        with pytest.raises(InputError, match="is not a spec"):
            SweepSpec.from_json(text)


@pytest.mark.parametrize(("load", "low", "high"), [(0.5, -0.02, 0.02), (2.0, 0.4, 0.6), (4.0, 0.65, 0.85)])
def test_what_piles_up_is_what_is_not_served(load: float, low: float, high: float) -> None:
    """Requests that fill the cache one at a time, at even gaps: a server at load c > 1 leaves 1 - 1/c of them."""
    o = 10
    w = Workload((np.arange(400) * o / load).astype(int), [6] * 400, [o] * 400)
    share = pile_up(simulate(w, "fcfs", kv_tokens=16))
    assert share is not None
    assert low <= share <= high


def test_a_burst_has_no_backlog_that_grows() -> None:
    assert pile_up(simulate(Workload([0, 0], [1, 1], [2, 2]), "fcfs", kv_tokens=16)) is None


def test_curves_end_where_the_backlog_grows_or_the_limits_are_missed() -> None:
    spec = SweepSpec(
        base=CompareSpec(policies=("fcfs",), engine="serving", goodput="ttft:9"), rates=(1.0, 2.0, 3.0),
        kv_tokens=(100,), seeds=2,
    )  # fmt: skip
    numbers = {1.0: (1.0, 0.0, 1.0), 2.0: (1.5, 0.04, 0.8), 3.0: (9.0, 0.3, 0.95)}
    records = [
        {"unit": "s", "policy": "fcfs", "request_rate": cell.at, "kv_tokens": 100, "seed": cell.seed, "status": "x",
         "label": "fcfs", "mean_latency": numbers[cell.at][0], "pile_up": numbers[cell.at][1],
         "good_share": numbers[cell.at][2]}
        for cell in spec.cells
    ]  # fmt: skip
    (curve,) = Findings(spec, records).curves
    assert (curve.sustainable, curve.good, curve.knee) == (2.0, 1.0, 2.0)


def test_an_error_in_a_run_ends_the_sweep_with_its_sentence() -> None:
    spec = SweepSpec(base=BASE, loads=(0.7,), kv_tokens=(300,), seeds=3)
    with pytest.raises(InputError, match="can never fit"):
        list(run_cells(spec, spec.cells, 2))


def test_an_axis_is_a_list_or_a_range() -> None:
    assert parse_axis("2, 4,8", "--rates") == (2, 4, 8)
    assert parse_axis("0.5:0.8:0.1", "--loads") == (0.5, 0.6, 0.7, 0.8)
    for text in ("", "a", "1:2", "2:1:1", "0,1", "nan", "1:2:0", "inf"):
        with pytest.raises(ParameterError, match="--rates must be numbers above 0"):
            parse_axis(text, "--rates")
    with pytest.raises(ParameterError, match="at most 1000"):
        parse_axis("1:2:0.0001", "--rates")
