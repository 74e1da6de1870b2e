"""Times per request as a table file: parquet, csv or jsonl."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kvolume.errors import ParameterError, missing_extra

if TYPE_CHECKING:
    from kvolume.engine import Result

FORMATS = (".parquet", ".csv", ".jsonl")
CHUNK = 1 << 16


def columns(result: Result) -> dict[str, Any]:
    """The columns of one result, in the workload's order and unit; masked where something never happened."""
    workload = result.workload
    never = ~result.done
    out: dict[str, Any] = {
        "request": np.arange(len(workload)),
        "arrival": _times(result.arrival),
        "prompt_tokens": workload.prompt_tokens,
        "output_tokens": workload.output_tokens,
        "start": _times(result.start),
        "first_token": _times(result.first_token),
        "finish": _times(result.finish),
        "latency": _times(np.where(never, -1, result.finish - result.arrival)),
        "evictions": result.evictions,
        "queued": result.queued,
        "rejected": result.rejected,
    }
    if workload.predicted is not None:
        out["predicted"] = workload.predicted
    return out


def check_format(path: Path) -> None:
    """Raise ParameterError unless the name ends in .parquet, .csv or .jsonl; MissingExtraError for no pyarrow."""
    if path.suffix not in FORMATS:
        raise ParameterError(
            f"'{path}' must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, which says what to write."
        )
    if path.suffix == ".parquet":
        _pyarrow()


def write(named: Sequence[tuple[str, Result]], path: Path) -> None:
    """Write the requests of the results, each with its policy's name, in the format that the path's ending names."""
    check_format(path)
    if path.suffix == ".parquet":
        _write_parquet(named, path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["policy", *columns(named[0][1])])
            for name, result in named:
                writer.writerows((name, *("" if v is None else v for v in row)) for row in _rows(result))
            return
        for name, result in named:
            keys = ["policy", *columns(result)]
            file.writelines(json.dumps(dict(zip(keys, (name, *row), strict=True))) + "\n" for row in _rows(result))


def has_parquet() -> bool:
    """Can parquet be written here?"""
    try:
        _pyarrow()
    except ImportError:
        return False
    return True


def _write_parquet(named: Sequence[tuple[str, Result]], path: Path) -> None:
    pa = _pyarrow()
    import pyarrow.parquet as pq

    writer = None
    for name, result in named:
        cols = columns(result)
        arrays = [pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(result.workload), np.int8)), pa.array([name]))]
        arrays += [pa.array(np.ma.getdata(v), mask=np.ma.getmaskarray(v)) for v in cols.values()]
        table = pa.table(arrays, names=["policy", *cols])
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def _rows(result: Result) -> Iterator[tuple[Any, ...]]:
    """Row by row, a chunk at a time: a list of ten million tuples would not fit."""
    cols = list(columns(result).values())
    for at in range(0, len(result.workload), CHUNK):
        yield from zip(*(c[at : at + CHUNK].tolist() for c in cols), strict=True)


def _times(values: Any) -> Any:
    """Times, masked where negative or nan; seconds to the nanosecond, which is what clocks count in."""
    return np.ma.array(np.round(values, 9) if values.dtype.kind == "f" else values, mask=~(values >= 0))


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise missing_extra("Writing parquet", "parquet", "pyarrow") from None
    return pyarrow
