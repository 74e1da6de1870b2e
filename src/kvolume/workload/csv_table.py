"""CSV text as columns: numpy's C parser where every row is plain, Python's csv module where one is not.

The fast way reads 1.4 million rows in about two seconds; it is taken only when the field counts of all rows
are right and nothing is quoted, so both ways give the same cells (a property test says so).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from kvolume.errors import InputError
from kvolume.workload.tables import Array, Columns, shown

_TEXT = 64  # bytes that the fast way keeps of a text cell; longer ones go the exact way


class CsvSource:
    """A CSV file in memory with a header line; fields are separated by comma, semicolon or tab."""

    def __init__(self, label: str, text: str) -> None:
        self.label = label
        self._text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
        header, _, body = self._text.partition("\n")
        self._delimiter = max(",;\t", key=header.count)
        self._body = body
        try:
            fields = next(csv.reader([header], delimiter=self._delimiter), [])
        except csv.Error as error:
            raise InputError(f"{label}: the header line cannot be read: {error}.") from None
        self.names = tuple(f.strip() for f in fields)
        if not body.strip():
            raise InputError(f"{label} has a header line but no rows: it needs at least one request.")

    def place(self, row: int) -> str:
        return f"row {row + 1}"

    def load(self, names: Sequence[str], text: Sequence[str] = ()) -> Columns:
        index = [self.names.index(n) for n in names]
        return self._fast(names, index, text) or self._exact(names, index)

    def _fast(self, names: Sequence[str], index: list[int], text: Sequence[str]) -> Columns | None:
        """Cells by numpy.loadtxt, or None where a row is not plain."""
        if '"' in self._body or not self._body.isascii() or not self._regular():
            return None
        first = self._body.lstrip("\n").partition("\n")[0].split(self._delimiter)
        kinds: list[Any] = [
            f"S{_TEXT}" if n in text or not _number(first[i]) else "f8"
            for n, i in zip(names, index, strict=True)
        ]
        fields = np.dtype([(f"c{k}", kind) for k, kind in enumerate(kinds)])
        try:
            table = np.loadtxt(io.StringIO(self._body), fields, comments=None, delimiter=self._delimiter,
                               usecols=index, ndmin=1, encoding="ascii")  # fmt: skip
        except (ValueError, OverflowError):
            return None  # some cell is not a number: the exact way finds which
        cells: dict[str, Array] = {n: np.ascontiguousarray(table[f"c{k}"]) for k, n in enumerate(names)}
        if any(c.dtype.kind == "S" and (np.char.str_len(c) >= _TEXT).any() for c in cells.values()):
            return None
        return Columns(cells, table.size)

    def _regular(self) -> bool:
        """Has every line as many fields as the header? Blank lines do not count."""
        raw = np.frombuffer(self._body.encode("ascii"), np.uint8)
        ends = np.append(np.flatnonzero(raw == 10), raw.size)
        fields = np.diff(np.searchsorted(np.flatnonzero(raw == ord(self._delimiter)), ends), prepend=0)
        filled = np.diff(ends, prepend=-1) > 1
        return bool((fields[filled] == len(self.names) - 1).all())

    def _exact(self, names: Sequence[str], index: list[int]) -> Columns:
        """Cells by Python's csv module; rows with a wrong number of fields are listed as broken."""
        width, broken = len(self.names), {}
        columns: list[list[str | None]] = [[] for _ in names]
        row = 0
        try:
            for fields in csv.reader(io.StringIO(self._body, newline=""), delimiter=self._delimiter):
                if not fields:
                    continue
                whole = len(fields) == width
                if not whole:
                    broken[row] = (
                        f"it has {_fields(len(fields))}, but the header has {_fields(width)}: "
                        f"{shown(fields[0])}, ..."
                    )
                for column, i in zip(columns, index, strict=True):
                    column.append(fields[i] if whole else None)
                row += 1
        except csv.Error as error:
            raise InputError(
                f"{self.label}, row {row + 1}: the row cannot be split into fields: {error}."
            ) from None
        cells: dict[str, Array] = {}
        for name, column in zip(names, columns, strict=True):
            cells[name] = np.empty(row, object)
            cells[name][:] = column
        return Columns(cells, row, broken)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
