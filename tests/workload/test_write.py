"""What is written is read back with the same values."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvolume.errors import InputError
from kvolume.workload import Workload, read, write
from kvolume.workload.write import COLUMNS

_SECONDS = st.floats(0, 1e7, allow_nan=False)
_LABEL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    n = draw(st.integers(1, 6))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    given: dict = {"prompt_tokens": column(st.integers(0, 10**9)), "output_tokens": column(st.integers(1, 10**9))}
    kind = draw(st.sampled_from(["s", "rounds", "none"]))
    if kind == "s":
        given["arrival_s"] = column(_SECONDS)
        if draw(st.booleans()):
            given["finish_s"] = np.array(given["arrival_s"]) + np.array(column(_SECONDS))
    elif kind == "rounds":
        given["arrival"] = column(st.integers(0, 10**15))
    optional = {
        "lower": st.integers(1, 10**9),
        "upper": st.integers(1, 10**9),
        "predicted": st.floats(1, 1e9),
        "client": _LABEL,
    }
    for name, values in optional.items():
        if draw(st.booleans()):
            given[name] = column(values)
    return Workload(**given)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_reading_gives_back_what_was_written(suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")

    @settings(max_examples=100, deadline=None)
    @given(workloads())
    def check(workload: Workload) -> None:
        with tempfile.TemporaryDirectory() as folder:
            again = read(write(workload, Path(folder) / f"w{suffix}"))
        for name in COLUMNS:
            before, after = getattr(workload, name), getattr(again, name)
            if before is None:
                assert after is None, name
            elif name == "client":
                assert [str(v) for v in after.tolist()] == before.tolist()
            else:
                np.testing.assert_array_equal(after, before, name)

    check()


def test_an_existing_file_is_kept_unless_forced(tmp_path):
    file = write(Workload([0], [1], [1]), tmp_path / "w.csv")
    with pytest.raises(InputError, match="exists already"):
        write(Workload([0], [2], [2]), file)
    assert read(file).prompt_tokens.tolist() == [1]
    write(Workload([0], [2], [2]), file, force=True)
    assert read(file).prompt_tokens.tolist() == [2]


@pytest.mark.parametrize("name", ["w.txt", "w", "missing/w.csv", "a\0.csv", "x" * 300 + ".csv"])
def test_places_that_cannot_be_written(name, tmp_path):
    with pytest.raises(InputError):
        write(Workload([0], [1], [1]), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(InputError, match="client label"):
        write(Workload([0], [1], [1], client=["\ud800"]), tmp_path / "w.csv")
    assert list(tmp_path.iterdir()) == []
