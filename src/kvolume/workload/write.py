"""Workloads as files of kvolume's own columns: .csv, .jsonl, .parquet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from kvolume.errors import InputError, missing_extra
from kvolume.workload._files import whole_file
from kvolume.workload._workload import Workload

COLUMNS = {
    "arrival_s": "arrival_s",
    "arrival": "arrival",
    "prompt_tokens": "input_length",
    "output_tokens": "output_length",
    "predicted": "predicted",
    "lower": "lower",
    "upper": "upper",
    "client": "client",
    "finish_s": "finish_s",
}


def write(workload: Workload, path: str | Path, *, force: bool = False) -> Path:
    """Write a workload as .csv, .jsonl or .parquet (by suffix); `read` gives the same values back.

    The file is complete or absent. Client labels that are not integers are written as text; ids of prompt blocks
    have no place in a .csv. Raises InputError for
    another suffix, an existing file without `force`, or a place that cannot be written.
    """
    file = Path(path)
    kind = file.suffix.lower()
    if kind not in _WRITERS:
        raise InputError(f"{file} ends in '{file.suffix}', but must end in .csv, .jsonl or .parquet.")
    columns = {
        out: _plain(getattr(workload, name))
        for name, out in COLUMNS.items()
        if getattr(workload, name) is not None
    }
    if workload.prefix is not None and kind != ".csv":
        prefix = workload.prefix
        columns["hash_ids"] = np.empty(len(workload), object)
        columns["hash_ids"][:] = [x.tolist() for x in np.split(prefix.ids, prefix.offsets[1:-1])]
    with whole_file(file, force=force) as temporary:
        try:
            _WRITERS[kind](columns, temporary)
        except UnicodeEncodeError as error:
            raise InputError(
                f"{file} cannot be written: a client label is not valid text ({error.reason})."
            ) from None
    return file


def _plain(values: Any) -> Any:
    return values if values.dtype.kind in "iuf" else np.array([str(v) for v in values.tolist()], object)


def _csv(columns: dict[str, Any], file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(c.tolist() for c in columns.values()), strict=True))


def _jsonl(columns: dict[str, Any], file: Path) -> None:
    names = list(columns)
    with file.open("w", encoding="utf-8", newline="") as out:
        for row in zip(*(c.tolist() for c in columns.values()), strict=True):
            out.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")


def _parquet(columns: dict[str, Any], file: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra("Writing parquet files", "parquet", "pyarrow") from None
    pq.write_table(pa.table({n: pa.array(c) for n, c in columns.items()}), file, compression="zstd")


_WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
