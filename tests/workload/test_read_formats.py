"""Every known log gives the same three requests, whatever its syntax and the name of its file."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from kvolume import errors
from kvolume.workload import Workload, read, write
from kvolume.workload.csv_table import CsvSource

from .conftest import LOGS


@pytest.mark.parametrize("name", [n for n in LOGS if n not in ("bench", "rounds")])
def test_each_format_is_recognised_by_its_content(name, log):
    w = read(log(LOGS[name]))
    assert w.prompt_tokens.tolist() == [10, 20, 30]
    assert w.output_tokens.tolist() == [3, 2, 4]
    assert w.unit == "s"
    np.testing.assert_allclose(w.arrival_s, [0, 0.25, 1.5], atol=1e-9)
    assert w.name == "log"


def test_own_options_are_read(log):
    w = read(log(LOGS["own"]))
    assert w.predicted.tolist() == [4, 2, 5]
    assert (w.lower.tolist(), w.upper.tolist()) == ([1, 1, 2], [9, 9, 9])
    assert w.client.tolist() == ["a", "b", "a"]
    assert w.finish_s.tolist() == [1.5, 2.5, 9.5]


def test_rounds_stay_integers(log):
    w = read(log(LOGS["rounds"]))
    assert w.unit == "rounds"
    assert w.arrival.tolist() == [0, 1, 1]


def test_vllm_bench_finish_is_start_plus_first_token_plus_the_rest(log):
    w = read(log(LOGS["bench"]))
    np.testing.assert_allclose(w.arrival_s, [0.5, 0, 1])
    np.testing.assert_allclose(w.finish_s, [1.2, 0.45, 1.8])
    assert any("2 of 3" in n or "1 of 3" in n for n in w.notes)


def test_zones_are_converted(log):
    text = (
        LOGS["azure2024"]
        .replace("00:00.250000+00:00", "00:00.250000+00:00")
        .replace("2024-05-10 00:00:01.500000+00:00", "2024-05-10T02:00:01.500000+02:00")
    )
    w = read(log(text))
    np.testing.assert_allclose(w.arrival_s, [0, 0.25, 1.5])
    assert any("UTC" in n for n in w.notes)


@pytest.mark.parametrize(("zone", "second"), [("Z", 1.5), ("+0130", 1.5 - 5400), ("-01:30", 1.5 + 5400)])
def test_zone_spellings(zone, second, log):
    text = f"TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 12:00:00Z,1,1\n2024-05-10 12:00:01.5{zone},1,1\n"
    w = read(log(text))
    np.testing.assert_allclose(np.diff(w.arrival_s), [second])


def test_milliseconds_are_told_from_seconds_by_blocks(log):
    small = LOGS["mooncake"].replace('"hash_ids": [0]', '"hash_ids": [0, 1]').replace("[1]", "[0, 2]")
    assert read(log(LOGS["mooncake"])).arrival_s.max() == 1.5
    assert "milliseconds" in read(log(LOGS["mooncake"])).notes[0]
    assert read(log(small)).arrival_s.max() == 1500
    assert "seconds" in read(log(small)).notes[0]


def test_a_log_without_times_has_lengths_only(log):
    for text in ("input_length,output_length\n1,2\n", "arrival_s,input_length,output_length\n,1,2\n,3,4\n"):
        w = read(log(text))
        assert not w.has_arrivals
        assert any("no arrival times" in n for n in w.notes)


def test_unsorted_rows_keep_the_files_order_and_are_noted(log):
    w = read(log("arrival_s,input_length,output_length\n5,1,1\n0,2,1\n6,3,1\n2,4,1\n"))
    assert w.prompt_tokens.tolist() == [1, 2, 3, 4]
    (note,) = w.notes
    assert note.startswith("2 of 4 rows were out of arrival order; they are scheduled in order of arrival")
    assert note.endswith("reported in the file's order.")


def test_dates_in_seconds_are_counted_from_the_first(log):
    w = read(
        log("arrival_s,input_length,output_length,finish_s\n1700000000,1,1,1700000003\n1700000001.5,1,1,1700000004\n")
    )
    assert w.arrival_s.tolist() == [0, 1.5]
    assert w.finish_s.tolist() == [3, 4]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LOGS["own"].encode())))
    assert read("-").name == "stdin"


@pytest.mark.parametrize("text", ["﻿" + LOGS["own"], LOGS["own"].replace(",", ";"), LOGS["own"].replace(",", "\t"),
                                  LOGS["own"].replace("\n", "\r\n"), LOGS["own"] + "\n\n",
                                  "\n" + LOGS["own"]])  # fmt: skip
def test_byte_order_mark_separators_and_line_ends_do_not_matter(text, log):
    assert read(log(text)).finish_s.tolist() == [1.5, 2.5, 9.5]


def test_quoted_fields(log):
    w = read(log('input_length,output_length,client\n"1",2,"a, ""b""\nc"\n3,4,d\n'))
    assert w.client.tolist() == ['a, "b"\nc', "d"]


@pytest.mark.parametrize("name", [n for n in LOGS if n not in ("mooncake", "timed_trace", "jsonl", "list", "bench")])
def test_fast_and_exact_csv_give_the_same_cells(name):
    source = CsvSource("x", LOGS[name])
    index = list(range(len(source.names)))
    fast, exact = source._fast(source.names, index, ["client"]), source._exact(source.names, index)
    assert fast is not None
    for column in source.names:
        a, b = fast.cells[column], exact.cells[column]
        same = a.tolist() == [float(x) for x in b] if a.dtype.kind == "f" else [x.decode() for x in a] == b.tolist()
        assert same, column


def test_bad_rows_are_skipped_counted_and_noted(log):
    text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n" + "".join(
        f"{t},GPT-4,5,{0 if t % 3 == 1 else 7},12,API log\n" for t in range(1, 10)
    )
    w = read(log(text), skip_bad_rows=True)
    assert len(w) == 6
    assert w.arrival_s[0] == 0
    assert any(n.startswith("Skipped 3 of 9 rows: first row 1: Response tokens is 0") for n in w.notes)


@pytest.mark.parametrize(
    ("bad", "line"), [('{"arrival_s": 0', 2), ("[1, 2]", 2), ('{"arrival_s": 1, "input_length": 1}', 2)]
)
def test_bad_json_lines_are_skipped_too(bad, line, log):
    rows = LOGS["jsonl"].splitlines()
    rows.insert(1, bad)
    w = read(log("\n".join(rows)), skip_bad_rows=True)
    assert len(w) == 3
    assert f"Skipped 1 of 4 rows: first line {line}" in w.notes[-1]


@pytest.mark.parametrize("trace", ["azure2023_code", "azure2023_conv", "servegen_m_large", "sharegpt8k_lengths"])
def test_reference_traces_have_the_published_size(trace, traces):
    pytest.importorskip("pyarrow")
    from kvolume.workload import facts

    w, known = read(traces / f"{trace}.parquet"), facts(trace)
    assert len(w) == known["rows"]
    assert w.prompt_tokens.mean() == pytest.approx(known["prompt"]["mean"], rel=1e-4)
    assert w.has_arrivals == ("arrivals" in known)


def test_spread_arrivals_are_replayed_and_said(traces):
    pytest.importorskip("pyarrow")
    w = read(traces / "mooncake_conversation.parquet")
    assert "arrival_spread_s" in w.notes[0]
    assert np.unique(w.arrival_s).size > 12_000


def test_a_missing_parquet_library_is_said_with_the_cure(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    file = write(Workload([0], [1], [1]), tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(errors.MissingExtraError, match=r"kvolume\[parquet\]"):
        read(file)
