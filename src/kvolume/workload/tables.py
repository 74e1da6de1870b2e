"""Columns as they stand in a file, whatever the file's syntax, and the list of rows that cannot be used.

A `Source` knows its column names and loads the ones asked for. `Checks` collects every fault of every row, so that
the reader reports the first one in file order, or leaves all faulty rows out and says how many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kvolume.errors import InputError
from kvolume.workload.columns import MOST

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
CURE = "Correct the row, or leave such rows out with --skip-bad-rows (skip_bad_rows=True)."


@dataclass
class Columns:
    """Loaded cells: float64 where a column was clean numbers, else bytes or Python objects (None: missing)."""

    cells: dict[str, Array]
    rows: int
    broken: dict[int, str] = field(default_factory=dict)  # rows that have no cells at all, and why


class Source(Protocol):
    """A file that has been opened and recognised."""

    label: str  # the file, as messages call it
    @property
    def names(self) -> tuple[str, ...]:
        """The columns, as they are written."""
        ...

    def place(self, row: int) -> str:
        """Where the 0-based data row stands, for a person: `row 3` or `line 3`, counted from 1."""
        ...

    def load(self, names: Sequence[str], text: Sequence[str]) -> Columns:
        """The columns named; those in `text` are labels and stay as they are written."""
        ...


@dataclass
class ListSource:
    """Columns that are Python lists in memory: JSON documents and JSON lines."""

    label: str
    columns: dict[str, list[Any]]
    rows: int
    broken: dict[int, str]
    lines: Sequence[int] | None = None  # 1-based line of each row; None: rows are counted, not lines

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def place(self, row: int) -> str:
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"

    def load(self, names: Sequence[str], text: Sequence[str] = ()) -> Columns:
        return Columns({name: from_list(self.columns[name]) for name in names}, self.rows, self.broken)


def from_list(values: list[Any]) -> Array:
    """float64 if all are plain numbers, else the objects themselves."""
    if set(map(type, values)) <= {int, float}:
        try:
            return np.array(values, np.float64)
        except OverflowError:
            pass  # an integer beyond float64: the checks name its row
    cells = np.empty(len(values), object)
    cells[:] = values
    return cells


def shown(value: object) -> str:
    """A value for a message: short, on one line, numbers without a trailing `.0`."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float):
        return f"{value:.15g}"
    text = ascii(value)
    return text if len(text) <= 48 else f"{text[:44]}... ({len(text)} characters)"


def missing(cells: Array) -> Mask:
    """Which cells are empty."""
    if cells.dtype.kind in "iufb":
        return np.zeros(cells.size, np.bool_)
    if cells.dtype.kind == "S":
        return np.asarray(cells == b"")
    return np.fromiter((c is None or c == "" for c in cells), np.bool_, cells.size)


class Checks:
    """The faults of a file's rows: a mask of bad rows, and what is wrong with the first of them."""

    def __init__(self, source: Source, columns: Columns) -> None:
        self.source = source
        self.bad: Mask = np.zeros(columns.rows, np.bool_)
        self._first = columns.rows
        self._why = ""
        for row, why in columns.broken.items():
            self._mark(row, why)
            self.bad[row] = True

    def reject(self, faulty: Mask, column: str, cells: Array, rule: str) -> None:
        """Mark rows; the first one's value and the rule go into the message."""
        if faulty.any():
            row = int(np.argmax(faulty))
            self._mark(row, f"{column} is {shown(cells[row].item() if hasattr(cells[row], 'item') else cells[row])}, "
                            f"but {rule}")  # fmt: skip
            self.bad |= faulty

    def _mark(self, row: int, why: str) -> None:
        if row < self._first:
            self._first, self._why = row, why

    def numbers(self, cells: Array, column: str) -> Floats:
        """Finite float64; NaN only in rows that are marked bad."""
        if cells.dtype.kind in "iuf":
            values = cells.astype(np.float64)
        else:
            gone = missing(cells)
            values, failed = _parsed(cells)
            if gone.any():
                self._mark(int(np.argmax(gone)), f"{column} is missing, but each row needs a number")
                self.bad |= gone
            self.reject(failed & ~gone, column, cells, "must be a number")
            values[failed] = 0  # already marked: not also "not finite"
        self.reject(~np.isfinite(values), column, cells, "must be a finite number")
        return np.where(np.isfinite(values), values, 0.0)

    def tokens(self, cells: Array, column: str, least: int, zero: str = "") -> npt.NDArray[np.int64]:
        """Whole numbers in [least, 10^9]; `zero` says what a 0 means where it is not allowed."""
        values = self.numbers(cells, column)
        self.reject(values != np.floor(values), column, cells, "must be a whole number of tokens")
        self.reject(values < least, column, cells, f"must be at least {least}{zero}")
        self.reject(values > MOST, column, cells, "must be at most 10^9")
        return np.where(self.bad, least, values).astype(np.int64)

    def verdict(self, skip_bad_rows: bool) -> tuple[Mask | None, str]:
        """Which rows to keep (None: all), and the note on those left out. Raises InputError for the first bad one."""
        count, rows = int(self.bad.sum()), self.bad.size
        if not count:
            return None, ""
        where = self.source.place(self._first)
        if not skip_bad_rows:
            raise InputError(f"{self.source.label}, {where}: {self._why}. {CURE}")
        if count == rows:
            raise InputError(
                f"{self.source.label}: none of its {rows} rows can be used; {where}: {self._why}."
            )
        return ~self.bad, f"Skipped {count} of {rows} rows: first {where}: {self._why}."


def _parsed(cells: Array) -> tuple[Floats, Mask]:
    values, failed = np.zeros(cells.size), np.zeros(cells.size, np.bool_)
    number: Callable[[Any], float] = float
    for row, cell in enumerate(cells.tolist()):
        if isinstance(cell, bytes):
            cell = cell.decode("latin-1")
        try:
            # Python also reads 1_000 and digits of other scripts as numbers; no log means those.
            if isinstance(cell, bool) or (isinstance(cell, str) and ("_" in cell or not cell.isascii())):
                raise ValueError
            values[row] = number(cell)
        except OverflowError:
            values[row] = np.inf
        except (TypeError, ValueError):
            failed[row] = True
    return values, failed
