"""What the columns of a request log mean: names, units, and how rows become a Workload.

| log                          | arrival                     | prompt               | output               |
|------------------------------|-----------------------------|----------------------|----------------------|
| own files                    | arrival_s, arrival (rounds) | input_length         | output_length        |
| Azure LLM 2023 and 2024      | TIMESTAMP (date and time)   | ContextTokens        | GeneratedTokens      |
| BurstGPT                     | Timestamp (s)               | Request tokens       | Response tokens      |
| Mooncake                     | timestamp (ms)              | input_length         | output_length        |
| vLLM timed_trace             | timestamp (s)               | input_length         | output_length        |
| Vidur                        | arrived_at (s)              | num_prefill_tokens   | num_decode_tokens    |
| vllm bench serve             | start_times (s)             | input_lens           | output_lens          |

Names are matched without regard to case. Timestamps are shifted so that the first request arrives at 0; arrival_s
and arrival already count from the start of the log and stay as they are, unless arrival_s is a date in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from kvolume.errors import InputError
from kvolume.workload._workload import Workload
from kvolume.workload.columns import MOST
from kvolume.workload.dates import nanoseconds
from kvolume.workload.prefix import PrefixBlocks, block_tokens
from kvolume.workload.tables import Array, Checks, Columns, Floats, ListSource, Source, missing

SYNONYMS = {
    "prompt": (
        "input_length",
        "prompt_tokens",
        "ContextTokens",
        "Request tokens",
        "num_prefill_tokens",
        "input_lens",
    ),
    "output": (
        "output_length",
        "output_tokens",
        "GeneratedTokens",
        "Response tokens",
        "num_decode_tokens",
        "output_lens",
    ),
    "time": ("arrival_s", "arrival", "timestamp", "arrived_at", "start_times"),
    "predicted": ("predicted",),
    "lower": ("lower",),
    "upper": ("upper",),
    "client": ("client", "class"),
    "finish": ("finish_s",),
}
_SPREAD = "arrival_spread_s"
_EPOCH_S = 1e8  # an arrival_s beyond three years is a date, not a time since the start
_LABEL = 200  # most characters of a client label
_IDS = "hash_ids"
_LARGEST_ID = 2**62
_BLOCK = 64  # tokens per hash id that separate Mooncake's blocks of 512 from vLLM's of 16


def to_workload(source: Source, name: str, skip_bad_rows: bool) -> Workload:
    """The requests of an opened file, checked row by row. Raises InputError."""
    roles = _roles(source)
    ids = [name for name in source.names if name == _IDS]
    columns = source.load([*roles.values(), *ids], [roles["client"]] if "client" in roles else [])
    checks = Checks(source, columns)
    notes: list[str] = []
    given: dict[str, Any] = {
        "prompt_tokens": checks.tokens(columns.cells[roles["prompt"]], roles["prompt"], 0),
        "output_tokens": checks.tokens(
            columns.cells[roles["output"]], roles["output"], 1, " (an output of 0 tokens is a failed request)"
        ),
    }
    given |= _options(roles, columns, checks)
    given |= _times(source, roles, columns, checks, notes)
    keep, skipped = checks.verdict(skip_bad_rows)
    if keep is not None:
        given = {k: None if v is None else v[keep] for k, v in given.items()}
    if ids:
        cells = columns.cells[_IDS]
        given["prefix"] = _prefix(cells if keep is None else cells[keep], given["prompt_tokens"], notes)
    workload = Workload(**given, name=name, notes=(*notes, *filter(None, [skipped])))
    return _note_order(workload)


def _prefix(cells: Array, prompts: Any, notes: list[str]) -> PrefixBlocks | None:
    """The ids of the prompts' blocks, if all rows have a usable list of them; else a note says why not."""
    rows = [c if isinstance(c, list) and set(map(type, c)) <= {int} else None for c in cells.tolist()]
    lists = [r for r in rows if r is not None]
    size = block_tokens(lists, prompts.tolist()) if len(lists) == len(rows) else None
    if size is None or max((abs(x) for r in lists for x in r), default=0) > _LARGEST_ID:
        notes.append("hash_ids were left out: not every row has one whole number for each block of its prompt.")
        return None
    return PrefixBlocks.of(lists, size)


def _roles(source: Source) -> dict[str, str]:
    """The column of the file that plays each role. Raises InputError where one is missing or played twice."""
    found: dict[str, str] = {}
    for role, synonyms in SYNONYMS.items():
        accepted = {s.lower() for s in synonyms}
        have = [n for n in source.names if n.strip().lower() in accepted]
        if role == "time" and _SPREAD in source.names:
            have = [_SPREAD]
        if len(have) > 1:
            raise InputError(
                f"{source.label} has the columns {' and '.join(map(repr, have[:3]))}, which mean the same: keep one."
            )
        if have:
            found[role] = have[0]
    for role, what in (("prompt", "prompt lengths"), ("output", "output lengths")):
        if role not in found:
            raise InputError(_missing_column(source, role, what))
    return found


def _missing_column(source: Source, role: str, what: str) -> str:
    names = [n if len(n) <= 40 else n[:37] + "..." for n in source.names]
    taken = {s.lower() for synonyms in SYNONYMS.values() for s in synonyms}
    near: list[str] = []
    for wanted in SYNONYMS[role]:
        near = near or get_close_matches(
            wanted.lower(), [n.lower() for n in names if n.lower() not in taken], n=1, cutoff=0.7
        )
    original = {n.lower(): n for n in names}
    cure = f" The nearest is {original[near[0]]!a}: rename it." if near else ""
    shown = ", ".join(ascii(n)[1:-1] for n in names[:12]) + (", ..." if len(names) > 12 else "")
    return (
        f"{source.label} has no column of {what} ('{SYNONYMS[role][0]}', or {', '.join(SYNONYMS[role][1:])}). "
        f"Columns found: {shown or 'none'}.{cure}"
    )


def _options(roles: dict[str, str], columns: Columns, checks: Checks) -> dict[str, Any]:
    """The optional columns: bounds, predictions, client labels."""
    given: dict[str, Any] = {}
    for role in ("lower", "upper"):
        if role in roles:
            given[role] = checks.tokens(columns.cells[roles[role]], roles[role], 1)
    if "predicted" in roles:
        cells = columns.cells[roles["predicted"]]
        values = checks.numbers(cells, roles["predicted"])
        checks.reject(values < 1, roles["predicted"], cells, "must be at least 1")
        checks.reject(values > MOST, roles["predicted"], cells, "must be at most 10^9")
        values = np.where(checks.bad, 1.0, values)
        given["predicted"] = values.astype(np.int64) if (values == np.floor(values)).all() else values
    if "client" in roles:
        given["client"] = _labels(columns.cells[roles["client"]], roles["client"], checks)
    return given


def _labels(cells: Array, column: str, checks: Checks) -> Array:
    """Client labels: integers where all are integers, else strings."""
    if cells.dtype.kind in "iu":
        return cells
    if cells.dtype.kind == "f" and (np.abs(cells) < 2**53).all() and (cells == np.floor(cells)).all():
        return cells.astype(np.int64)
    if cells.dtype.kind == "S":
        texts = cells.astype("U").tolist()
    else:
        texts = ["" if c is None else c if isinstance(c, str) else ascii(c) for c in cells.tolist()]
    unusable = np.fromiter((len(t) > _LABEL or not _encodable(t) for t in texts), np.bool_, len(texts))
    checks.reject(unusable, column, cells, f"a label must be readable text of at most {_LABEL} characters")
    if unusable.any():
        texts = ["" if bad else t for t, bad in zip(texts, unusable.tolist(), strict=True)]
    if all(len(t) < 19 and t.isascii() and t.lstrip("-").isdigit() and str(int(t)) == t for t in texts):
        return np.array([int(t) for t in texts], np.int64)
    return np.array(texts)


def _encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def _times(
    source: Source, roles: dict[str, str], columns: Columns, checks: Checks, notes: list[str]
) -> dict[str, Any]:
    """Arrivals and completions, in seconds from the start or in rounds; nothing where the log has none."""
    column = roles.get("time", "")
    cells = columns.cells[column] if column else None
    if cells is None or missing(cells).all():
        notes.append("The log has lengths but no arrival times.")
        return {}
    if column == _SPREAD:
        notes.append("Arrivals are arrival_spread_s: the log's clock ticks, and each tick is spread evenly.")
    if column.lower() == "arrival":
        rounds = checks.numbers(cells, column)
        checks.reject(
            rounds != np.floor(rounds), column, cells, "is in rounds and must be whole (seconds: arrival_s)"
        )
        checks.reject((rounds < 0) | (rounds > 1e15), column, cells, "must be between 0 and 10^15")
        given: dict[str, Any] = {"arrival": np.where(checks.bad, 0, rounds).astype(np.int64)}
        if "finish" in roles:
            finish = _bounded(checks, columns.cells[roles["finish"]], roles["finish"])
            given["finish_s"] = finish
        return given
    seconds, shift = _seconds(source, column, cells, checks, notes)
    start = float(seconds[~checks.bad].min()) if shift and not checks.bad.all() else 0.0
    relative = seconds - start
    checks.reject(
        (relative > MOST) & ~checks.bad, column, cells, "must be at most 10^9 seconds after the first"
    )
    given = {"arrival_s": np.where(checks.bad, 0.0, relative)}
    if "finish" in roles:
        cells = columns.cells[roles["finish"]]
        finish = checks.numbers(cells, roles["finish"])
        checks.reject(
            (finish < seconds) & ~checks.bad, roles["finish"], cells, f"must not be before {column}"
        )
        checks.reject((finish - start > MOST) & ~checks.bad, roles["finish"], cells,
                      "must be at most 10^9 seconds after the first arrival")  # fmt: skip
        given["finish_s"] = np.where(checks.bad, 0.0, finish - start)
    return given


def _bounded(checks: Checks, cells: Array, column: str) -> Floats:
    values = checks.numbers(cells, column)
    checks.reject((values < 0) | (values > MOST), column, cells, "must be between 0 and 10^9 seconds")
    return np.where(checks.bad, 0.0, values)


def _seconds(
    source: Source, column: str, cells: Array, checks: Checks, notes: list[str]
) -> tuple[Floats, bool]:
    """A column of times as seconds, and whether they are to be counted from the first."""
    if _dates(cells):
        ns, zones = nanoseconds(cells, column, checks)
        if zones:
            notes.append("Timestamps were converted from their time zones to UTC.")
        good = ns[~checks.bad]
        return (
            ns - (good.min() if good.size else 0)
        ) / 1e9, False  # int64 first: dates in float64 lose digits
    if cells.dtype.kind == "M":
        stamps = cells.astype("datetime64[ns]").astype(np.int64)
        return (stamps - stamps.min()) / 1e9, False
    values = checks.numbers(cells, column)
    checks.reject(values < 0, column, cells, "must not be negative")
    times = values[~checks.bad]
    if column.lower() in ("arrival_s", _SPREAD):
        late = bool(times.size and times.min() > _EPOCH_S)
        if late:
            notes.append(f"{column} starts at {times.min():.15g} s: it is counted from the first arrival.")
        return values, late
    if _milliseconds(source, times, notes):
        values = values / 1000
    return values, True


def _dates(cells: Array) -> bool:
    """Does the first filled cell hold text that is no number?"""
    if cells.dtype.kind in "iufM":
        return False
    filled = np.flatnonzero(~missing(cells))
    first = cells[filled[0]]
    try:
        float(first)
    except (TypeError, ValueError):
        return isinstance(first, str | bytes)
    except OverflowError:
        pass
    return False


def _milliseconds(source: Source, times: Floats, notes: list[str]) -> bool:
    """Mooncake counts milliseconds, vLLM seconds, under the same names: tell them by their blocks.

    Mooncake's hash_ids stand for 512 tokens each, vLLM's for 16. Milliseconds: all times are whole, and a request
    has, beyond its first, at most one id per 64 prompt tokens.
    """
    if "hash_ids" not in source.names or not isinstance(source, ListSource):
        return False
    ids = sum(max(0, len(h) - 1) for h in source.columns["hash_ids"] if isinstance(h, list))
    prompts: Sequence[Any] = source.columns[_roles(source)["prompt"]]
    tokens = sum(p for p in prompts if isinstance(p, int) and 0 <= p <= MOST)
    if bool((times == np.floor(times)).all()) and ids * _BLOCK <= tokens:
        notes.append(
            "Timestamps were read as milliseconds (Mooncake): all are whole, and hash_ids stand for "
            "large blocks of tokens."
        )
        return True
    notes.append(
        "Timestamps were read as seconds (vLLM timed_trace): they have fractions, or hash_ids for small blocks."
    )
    return False


def _note_order(workload: Workload) -> Workload:
    times = workload.arrival_s if workload.arrival_s is not None else workload.arrival
    if times is None:
        return workload
    late = int((times < np.maximum.accumulate(times)).sum())
    if not late:
        return workload
    return workload.noted(
        f"{late} of {len(workload)} rows were out of arrival order; they are scheduled in order of arrival and "
        "reported in the file's order."
    )
