"""Checked conversions of raw columns: what is wrong, at which index (from 0), with which value."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.errors import InputError

MOST = 1_000_000_000  # tokens, rounds and budgets: keeps every exact product inside 64 bits


def as_tokens(values: npt.ArrayLike, column: str, *, least: int) -> npt.NDArray[np.int64]:
    """Whole numbers in [least, 10^9] as int64; InputError names the first index that is not."""
    x = _flat(values, column)
    if x.dtype.kind not in "iu":
        f = _floats(x, column)
        _reject(f != np.floor(f), x, column, "must be a whole number of tokens")
        x = f
    _reject(x < least, x, column, f"must be at least {least}")
    _reject(x > MOST, x, column, "must be at most 10^9")
    return np.ascontiguousarray(x, np.int64)


def as_arrival_rounds(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Non-negative whole rounds as int64; InputError names the first index that is not."""
    x = _flat(values, "arrival")
    if x.dtype.kind not in "iu":
        f = _floats(x, "arrival")
        _reject(f != np.floor(f), x, "arrival", "is in rounds and must be whole (seconds go into arrival_s)")
        x = f
    _reject(x < 0, x, "arrival", "must not be negative")
    _reject(x > 10**15, x, "arrival", "must be at most 10^15")
    return np.ascontiguousarray(x, np.int64)


def as_seconds(values: npt.ArrayLike, column: str) -> npt.NDArray[np.float64]:
    """Finite, non-negative float64; InputError names the first index that is not."""
    x = _flat(values, column)
    f = _floats(x, column)
    _reject(f < 0, x, column, "must not be negative")
    _reject(f > MOST, x, column, "must be at most 10^9")
    return np.ascontiguousarray(f)


def _flat(values: npt.ArrayLike, column: str) -> npt.NDArray[Any]:
    try:
        x = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise InputError(f"Column '{column}' cannot be read as numbers: {error}.") from None
    if x.ndim != 1:
        raise InputError(f"Column '{column}' must have one dimension. Got shape {x.shape} instead.")
    return x if x.size else x.astype(np.int64)


def _floats(x: npt.NDArray[Any], column: str) -> npt.NDArray[np.float64]:
    if x.dtype.kind not in "iufb":
        x = _parsed(x, column)
    f = x.astype(np.float64)
    _reject(~np.isfinite(f), x, column, "must be a finite number")
    return f


def _parsed(x: npt.NDArray[Any], column: str) -> npt.NDArray[np.float64]:
    out = np.empty(x.size)
    for row, value in enumerate(x.tolist()):
        try:
            out[row] = float(value)
        except (TypeError, ValueError):
            raise InputError(f"Index {row}: {column} is {value!r}, but must be a number.") from None
    return out


def _reject(bad: npt.NDArray[np.bool_], x: npt.NDArray[Any], column: str, rule: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"Index {row}: {column} is {x[row]}, but {rule}.")
