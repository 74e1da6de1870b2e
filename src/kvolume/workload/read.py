"""Request logs of any known format; the content says which one it is, not the file's name."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from pathlib import Path

from kvolume.errors import InputError
from kvolume.workload._workload import Workload
from kvolume.workload.csv_table import CsvSource
from kvolume.workload.formats import to_workload
from kvolume.workload.json_table import json_source
from kvolume.workload.parquet_table import ParquetSource
from kvolume.workload.tables import Source

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}


def read(path: str | Path, *, skip_bad_rows: bool = False) -> Workload:
    """Read a request log into a Workload; `-` is standard input. The formats are listed in `formats`.

    Arrivals are seconds from the start (or rounds), lengths are tokens; rows keep the file's order. What was done to
    the data is in `notes`. With `skip_bad_rows`, rows that cannot be used are left out, counted and noted.

    Raises InputError (file, row or line, column, value, cure) and MissingExtraError (parquet without pyarrow).
    """
    data, label, name = _bytes(path)
    return to_workload(_source(data, label), name, skip_bad_rows)


def _source(data: bytes, label: str) -> Source:
    if not data.strip():
        raise InputError(f"{label} is empty: it needs a header and at least one request.")
    if data[:4] == b"PAR1":
        return ParquetSource(label, data)
    for magic, packing in _PACKED.items():
        if data.startswith(magic):
            raise InputError(f"{label} is compressed ({packing}): unpack it first.")
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise InputError(
            f"{label} has binary data (a NUL byte in line {line}), but must be CSV, JSON, JSON lines or parquet."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{label}, line {line}: the byte 0x{data[error.start]:02x} is not UTF-8 text: convert the file to UTF-8."
        ) from None
    if not text.strip():
        raise InputError(f"{label} is empty: it needs a header and at least one request.")
    return json_source(label, text) if text.lstrip()[0] in "{[" else CsvSource(label, text)


def _bytes(path: str | Path) -> tuple[bytes, str, str]:
    """Content, the name that messages use, and the workload's name."""
    if str(path) == "-":
        return sys.stdin.buffer.read(), "standard input", "stdin"
    file = Path(path)
    try:
        return file.read_bytes(), str(file), file.stem
    except FileNotFoundError:
        raise InputError(f"{file} does not exist.{_nearest(file)}") from None
    except IsADirectoryError:
        raise InputError(f"{file} is a directory: name a file in it.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(file)!r} cannot be read: {reason}.") from None


def _nearest(file: Path) -> str:
    try:
        near = get_close_matches(file.name, [f.name for f in file.parent.iterdir()], n=1)
    except OSError:
        return f" Its directory {file.parent} cannot be listed."
    return f" Did you mean {file.parent / near[0]}?" if near else ""
