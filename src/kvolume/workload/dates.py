"""Timestamps such as `2023-11-16 18:17:03.9799600` or `2024-05-10 00:00:00.009930+00:00`, all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.errors import InputError
from kvolume.workload.tables import Array, Checks

RULE = "must be seconds or a date and time such as 2024-05-10 00:00:00.009930+00:00"
_Bytes = npt.NDArray[np.uint8]


def nanoseconds(cells: Array, column: str, checks: Checks) -> tuple[npt.NDArray[np.int64], bool]:
    """Nanoseconds since 1970 UTC (0 in rows marked bad), and whether zones were converted.

    Raises InputError where some rows have a zone and others have none.
    """
    raw = cells if cells.dtype.kind == "S" else _as_bytes(cells)
    n, width = raw.size, max(raw.dtype.itemsize, 26)
    text = np.zeros((n, width), np.uint8)
    text[:, : raw.dtype.itemsize] = np.ascontiguousarray(raw).view(np.uint8).reshape(n, -1)
    length, zone, offset_min = _zones(text)
    text[np.arange(width) >= length[:, None]] = 0
    bare = text.view(f"S{width}").ravel()
    good = _shaped(text, length)
    times = np.zeros(n, "datetime64[ns]")
    try:
        times[good] = bare[good].astype("datetime64[ns]")
    except ValueError:  # a month 13 or an hour 25 somewhere: find the rows
        for row in np.flatnonzero(good).tolist():
            try:
                times[row] = np.datetime64(bare[row].decode("ascii"), "ns")
            except ValueError:
                good[row] = False
    checks.reject(~good, column, cells, RULE)
    _same_zones(zone, good, checks, column)
    ns = np.where(good, times.astype(np.int64) - offset_min * 60_000_000_000, 0)
    return ns, bool((offset_min[good] != 0).any())


def _as_bytes(cells: Array) -> Array:
    """Cells as byte strings; what is no string becomes one that is no date."""
    return np.array(
        [c.encode("utf-8", "replace")[:64] if isinstance(c, str) else b"?" for c in cells.tolist()], "S64"
    )


def _zones(text: _Bytes) -> tuple[Any, Any, Any]:
    """Length without the zone, whether there is one, and its offset in minutes; of each row."""
    n = text.shape[0]
    full = (text != 0).sum(axis=1)
    rows = np.arange(n)

    def at(back: int) -> Any:
        return text[rows, np.maximum(full - back, 0)].astype(np.int64)

    utc = (at(1) == ord("Z")) & (full > 19)
    length, zone, offset = full - utc, utc.copy(), np.zeros(n, np.int64)
    for size, digits in ((6, (5, 4, 2, 1)), (5, (4, 3, 2, 1))):  # +HH:MM and +HHMM
        sign = at(size)
        found = ~zone & (full - size >= 19) & ((sign == ord("+")) | (sign == ord("-")))
        if size == 6:
            found &= at(3) == ord(":")
        h1, h2, m1, m2 = (at(d) - ord("0") for d in digits)
        for digit, most in ((h1, 2), (h2, 9), (m1, 5), (m2, 9)):
            found &= (digit >= 0) & (digit <= most)
        minutes = (h1 * 10 + h2) * 60 + m1 * 10 + m2
        offset = np.where(found, np.where(sign == ord("-"), -minutes, minutes), offset)
        length = np.where(found, full - size, length)
        zone |= found
    return length, zone, offset


def _shaped(text: _Bytes, length: Any) -> Any:
    """Which rows read YYYY-MM-DD hh:mm:ss with a fraction of up to 9 digits, in years that nanoseconds can hold."""
    digit = (text >= ord("0")) & (text <= ord("9"))
    good = (length >= 19) & (length != 20) & (length <= 29)
    for position in (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18):
        good &= digit[:, position]
    for position, signs in ((4, b"-"), (7, b"-"), (10, b" T"), (13, b":"), (16, b":")):
        good &= np.isin(text[:, position], np.frombuffer(signs, np.uint8))
    good &= (length == 19) | (text[:, 19] == ord("."))
    inside = np.arange(text.shape[1]) >= 20
    good &= (digit | ~inside | (np.arange(text.shape[1]) >= length[:, None])).all(axis=1)
    year = text[:, :4].astype(np.int64) @ np.array([1000, 100, 10, 1]) - ord("0") * 1111
    return good & (year >= 1970) & (year <= 2200)


def _same_zones(zone: Any, good: Any, checks: Checks, column: str) -> None:
    if (zone & good).any() and (~zone & good).any():
        place = checks.source.place
        with_zone, without = int(np.argmax(zone & good)), int(np.argmax(~zone & good))
        raise InputError(
            f"{checks.source.label}: {column} has a time zone in {place(with_zone)} but none in "
            f"{place(without)}, so the "
            "rows cannot be put in order. Write all of them with a zone or all without."
        )
