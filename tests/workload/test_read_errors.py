"""Each input that cannot be used: the message names the file, the place, the column, the value."""

from __future__ import annotations

import json

import pytest

from kvolume.errors import InputError
from kvolume.workload import Workload, read, write

from .conftest import BENCH, LOGS

OWN = "arrival_s,input_length,output_length\n0,10,3\n1,20,2\n"
AZURE = LOGS["azure2023"]


def bench(**changes):
    return json.dumps(BENCH | changes)


CASES = {
    "empty": ("", ["is empty"]),
    "blank": (" \n\n", ["is empty"]),
    "header only": ("arrival_s,input_length,output_length\n", ["header line but no rows"]),
    "missing column": (OWN.replace("output_length", "output_len"),
                       ["no column of output lengths", "Columns found: arrival_s, input_length, output_len",
                        "'output_len'"]),
    "no header": ("0,1,2\n3,4,5\n", ["no column of prompt lengths", "Columns found: 0, 1, 2"]),
    "twice": (OWN.replace("arrival_s", "prompt_tokens"), ["'prompt_tokens' and 'input_length'", "keep one"]),
    "both times": (OWN.replace("arrival_s", "arrival,arrival_s"), ["'arrival' and 'arrival_s'"]),
    "negative length": (OWN + "2,-5,2\n", ["row 3", "input_length is -5", "at least 0"]),
    "negative time": (OWN + "-2,5,2\n", ["row 3", "arrival_s is -2", "must not be negative"]),
    "nan": (OWN + "2,nan,2\n", ["row 3", "input_length is nan", "finite"]),
    "inf": (OWN + "inf,5,2\n", ["row 3", "arrival_s is inf", "finite"]),
    "fraction": (OWN + "2,5,2.5\n", ["row 3", "output_length is 2.5", "whole"]),
    "zero output": (OWN + "2,5,0\n", ["row 3", "output_length is 0", "at least 1", "--skip-bad-rows"]),
    "no number": (OWN + "2,5,many\n", ["row 3", "output_length is 'many'", "must be a number"]),
    "underscore": (OWN + "2,5,1_0\n", ["row 3", "output_length is '1_0'", "must be a number"]),
    "missing cell": (OWN + "2,5,\n", ["row 3", "output_length is missing"]),
    "missing time": (OWN + ",5,5\n", ["row 3", "arrival_s is missing"]),
    "overlong": (OWN + f"2,5,{'9' * 400}\n", ["row 3", "output_length is", "finite"]),
    "too many": (OWN + "2,5,2000000000\n", ["row 3", "output_length is 2000000000", "10^9"]),
    "long row": (OWN + "2,5,1,1\n", ["row 3", "4 fields", "header has 3"]),
    "short row": (OWN + "2,5\n3,1,1\n", ["row 3", "2 fields", "header has 3"]),
    "finish first": ("arrival_s,input_length,output_length,finish_s\n5,1,1,4\n",
                     ["row 1", "finish_s is 4", "not be before arrival_s"]),
    "huge span": ("timestamp,input_length,output_length\n0,1,1\n3e9,1,1\n",
                  ["row 2", "timestamp is 3000000000", "10^9"]),
    "fractional round": ("arrival,input_length,output_length\n0.5,1,1\n", ["row 1", "arrival is 0.5", "arrival_s"]),
    "mixed zones": (AZURE + "2023-11-16 18:17:09.0+00:00,1,1\r\n", ["TIMESTAMP", "row 4", "row 1", "zone"]),
    "month 13": (AZURE + "2023-13-16 18:17:09,1,1\r\n",
                 ["row 4", "TIMESTAMP is '2023-13-16 18:17:09'", "date and time"]),
    "year only": (AZURE + "2023,1,1\r\n", ["row 4", "TIMESTAMP is '2023'", "date and time"]),
    "far year": (AZURE + "9023-11-16 18:17:09,1,1\r\n", ["row 4", "TIMESTAMP is '9023-"]),
    "failed request": (LOGS["burstgpt"] + "7,GPT-4,5,0,5,API log\n",
                       ["row 4", "Response tokens is 0", "failed request", "--skip-bad-rows"]),
    "all bad": ("input_length,output_length\n1,0\n", ["row 1", "output_length is 0"]),
    "broken line": (LOGS["jsonl"] + '{"arrival_s": 2,\n', ["line 4", "not valid JSON", "'{\"arrival_s\": 2,'"]),
    "no object": (LOGS["jsonl"] + "[1]\n", ["line 4", "it is [1]", "JSON object"]),
    "json text": (LOGS["jsonl"].replace(": 4}", ': "four"}'),
                  ["line 3", "output_length is 'four'", "must be a number"]),
    "json null": (LOGS["jsonl"].replace(": 4}", ": null}"), ["line 3", "output_length is missing"]),
    "json true": (LOGS["jsonl"].replace(": 4}", ": true}"), ["line 3", "output_length is True", "must be a number"]),
    "json NaN": (LOGS["jsonl"].replace(": 4}", ": NaN}"), ["line 3", "output_length is nan", "finite"]),
    "broken document": ('{"input_lens": [1, 2', ["not valid JSON", "line 1"]),
    "deep": ("[" * 100_000, ["not valid JSON", "too deep"]),
    "long integer": ('{"input_length": ' + "9" * 5000 + ', "output_length": 1}', ["too long"]),
    "empty list": ("[]", ["is an empty list"]),
    "bench summary": ('{"request_throughput": 3.0}', ["--save-detailed"]),
    "bench uneven": (bench(ttfts=[1.0]), ["'ttfts' has 1 entries", "'input_lens' has 3"]),
    "bench no list": (bench(itls=3), ["'itls' is 3", "must be a list"]),
    "bench error": (bench(errors=["", "timed out", ""]), ["row 2", "errors is 'timed out'"]),
    "bench zero": (bench(output_lens=[3, 0, 4]), ["row 2", "output_lens is 0"]),
    "bench itls": (bench(itls=[[1], "ab", [1]]), ["row 2", "itls", "list of numbers"]),
    "bench empty": ('{"input_lens": []}', ["no requests"]),
    "binary": (b"\x7fELF\0\0\1", ["binary data", "line 1"]),
    "latin-1": (OWN.encode() + b"2,5,\xe9\n", ["line 4", "0xe9", "UTF-8"]),
    "gzip": (b"\x1f\x8b\x08\x00abc", ["compressed (gzip)"]),
    "label": (OWN.replace("_length\n", "_length,client\n").replace("3\n", f"3,{'x' * 300}\n").replace("2\n", "2,y\n"),
              ["row 1", "client is", "200 characters"]),
    "parquet junk": (b"PAR1 this is no parquet file PAR1", ["not a whole parquet file"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_message_names_file_place_and_value(case, log):
    if case == "parquet junk":
        pytest.importorskip("pyarrow")
    content, parts = CASES[case]
    file = log(content)
    with pytest.raises(InputError) as caught:
        read(file)
    message = str(caught.value)
    assert str(file) in message
    assert [p for p in parts if p not in message] == [], message
    assert "\n" not in message
    assert len(message) < 600


def test_a_missing_file_suggests_the_nearest(log):
    file = log(OWN)
    with pytest.raises(InputError, match=r"lag\.txt does not exist\. Did you mean .*log\.txt\?"):
        read(file.with_name("lag.txt"))


def test_a_directory_is_not_a_log(tmp_path):
    with pytest.raises(InputError, match="is a directory"):
        read(tmp_path)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "no/such/place/log.csv", ""])
def test_impossible_paths(path):
    with pytest.raises(InputError):
        read(path)


def test_a_truncated_parquet_file(tmp_path):
    pytest.importorskip("pyarrow")
    whole = write(Workload(arrival_s=[0.0, 1], prompt_tokens=[1, 2], output_tokens=[3, 4]), tmp_path / "a.parquet")
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"cut\.parquet is not a whole parquet file"):
        read(cut)


def test_parquet_nulls_and_zero_outputs_name_their_row(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "x.parquet"
    for outputs, message in (([1, None], "row 2: output_tokens is missing"), ([0, 1], "row 1: output_tokens is 0")):
        pq.write_table(pa.table({"prompt_tokens": [1, 2], "output_tokens": outputs}), file)
        with pytest.raises(InputError, match=message):
            read(file)
        assert len(read(file, skip_bad_rows=True)) == 1


def test_nothing_left_after_skipping_is_an_error(log):
    with pytest.raises(InputError, match="none of its 1 rows can be used"):
        read(log("input_length,output_length\n1,0\n"), skip_bad_rows=True)


def test_reference_files_without_lengths_say_which_columns_they_have(traces):
    pytest.importorskip("pyarrow")
    for name in ("vicuna13b_lmsys_predictor", "alpaca_vicuna_len_by_temperature", "servegen_rate_curves"):
        with pytest.raises(InputError, match=r"no column of prompt lengths.*Columns found"):
            read(traces / f"{name}.parquet")
