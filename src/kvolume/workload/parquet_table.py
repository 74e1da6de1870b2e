"""Parquet files as columns (needs the extra `parquet`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kvolume.errors import InputError, missing_extra
from kvolume.workload.tables import Array, Columns


class ParquetSource:
    """A parquet file in memory. Raises InputError where it is damaged, MissingExtraError without pyarrow."""

    def __init__(self, label: str, data: bytes) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise missing_extra("Reading parquet files", "parquet", "pyarrow") from None
        self.label = label
        self._file: Any = self._guarded(lambda: pq.ParquetFile(pa.BufferReader(data)))
        self.names: tuple[str, ...] = self._guarded(lambda: tuple(self._file.schema_arrow.names))
        if self._file.metadata.num_rows == 0:
            raise InputError(f"{label} has columns but no rows: it needs at least one request.")

    def place(self, row: int) -> str:
        return f"row {row + 1}"

    def load(self, names: Sequence[str], text: Sequence[str] = ()) -> Columns:
        table = self._guarded(lambda: self._file.read(columns=list(names)))
        return Columns({n: self._guarded(lambda n=n: _cells(table.column(n))) for n in names}, table.num_rows)

    def _guarded(self, action: Any) -> Any:
        try:
            return action()
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes the library raise nearly anything
            reason = " ".join(str(error).split())[:120]
            raise InputError(
                f"{self.label} is not a whole parquet file ({reason}): copy or download it again."
            ) from None


def _cells(column: Any) -> Array:
    import pyarrow as pa

    kind = column.type
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_timestamp(kind)
    if plain and column.null_count == 0:
        return np.asarray(column.to_numpy())
    values = column.to_pylist()
    cells = np.empty(len(values), object)
    cells[:] = values
    return cells
