"""Whatever the bytes: a Workload or a KvolumeError, nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvolume.errors import KvolumeError
from kvolume.workload import Workload, read, write

from .conftest import LOGS

_TOKENS = [
    *(b"nan", b"-1", b"1e400", b"", b'"', b",", b"\n", b"\r", b"{", b"]", b"null", b"true", b"1_0", b"\xff", b"\0"),
    *(b"9" * 30, b"1" * 5000, b"+00:00", b"Z", b"NaT", b"\xef\xbb\xbf", b"[[", b'"hash_ids"', b"\\ud800"),
]


def only_kvolume_errors(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log"
        file.write_bytes(data)
        for skip in (False, True):
            try:
                assert len(read(file, skip_bad_rows=skip)) >= 1
            except KvolumeError as error:
                message = str(error)
            else:
                continue
            assert str(file) in message


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 12))
        data[at : at + cut] = draw(st.sampled_from(_TOKENS) | st.binary(max_size=4))
    return bytes(data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
@example(b"PAR1")
@example(b"{")
@example(b"\xef\xbb\xbf")
def test_random_bytes(data):
    only_kvolume_errors(data)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_random_text(text):
    only_kvolume_errors(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=500, deadline=None)
@given(mutated([text.encode() for text in LOGS.values()]))
def test_mutated_logs(data):
    only_kvolume_errors(data)


def test_mutated_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    workload = Workload(arrival_s=[0.0, 1, 2], prompt_tokens=[1, 2, 3], output_tokens=[3, 4, 5], client=["a", "b", "c"])
    original = write(workload, tmp_path / "x.parquet").read_bytes()

    @settings(max_examples=150, deadline=None)
    @given(mutated([original]))
    def check(data: bytes) -> None:
        only_kvolume_errors(data)

    check()
