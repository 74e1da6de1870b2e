"""One grammar for everything that has a name and parameters: `name:key=value,key=value`.

Policies, clocks, arrival processes and predictors are all written this way, in the command line, in specs and
in reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvolume.errors import ParameterError, unknown_name


def parse_spec(text: str, what: str) -> tuple[str, dict[str, str]]:
    """Split `name:key=value,...` into the name and its parameters (strings).

    Raises ParameterError on an empty name, a parameter without `=`, or one given twice.
    """
    name, _, rest = text.strip().partition(":")
    name = name.strip()
    if not name:
        raise ParameterError(f"The {what} '{text}' has no name. Write name or name:key=value,key=value.")
    values: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in rest.split(","))):
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key or not value:
            raise ParameterError(f"The {what} '{text}' has '{part}' where key=value is expected.")
        if key in values:
            raise ParameterError(f"The {what} '{text}' gives '{key}' twice.")
        values[key] = value
    return name, values


def check_keys(values: Mapping[str, Any], allowed: Mapping[str, Any] | set[str], what: str) -> None:
    """Raise UnknownNameError for the first key that is not allowed."""
    for key in values:
        if key not in allowed:
            raise unknown_name(f"parameter of {what}", key, allowed)


def number(value: str | float, name: str, what: str, *, low: float | None = None, high: float | None = None,
           open_low: bool = False, integer: bool = False) -> float:
    """`value` as a finite number within [low, high] (or ]low, high] if `open_low`); ParameterError if not."""
    kind = "an integer" if integer else "a number"
    bounds = _range(low, high, open_low)
    error = ParameterError(f"The '{name}' parameter of {what} must be {kind}{bounds}. Got {value!r} instead.")
    try:
        x = float(value)
    except (TypeError, ValueError):
        raise error from None
    if x != x or x in (float("inf"), float("-inf")) or (integer and x != int(x)):
        raise error
    if low is not None and (x < low or (open_low and x == low)):
        raise error
    if high is not None and x > high:
        raise error
    return int(x) if integer else x


def _range(low: float | None, high: float | None, open_low: bool) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f" {'>' if open_low else '>='} {low:g}"
    if low is None:
        return f" <= {high:g}"
    return f" in {']' if open_low else '['}{low:g}, {high:g}]"
