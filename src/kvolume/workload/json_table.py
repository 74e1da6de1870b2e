"""JSON as columns: one object per line, a list of objects, or the result file of `vllm bench serve`."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from kvolume.errors import InputError
from kvolume.workload.tables import ListSource, shown

_BROKEN = (
    ValueError,
    RecursionError,
)  # bad syntax, an integer of over 4,300 digits; brackets nested too deep


def json_source(label: str, text: str) -> ListSource:
    """The columns of a JSON text. Raises InputError where nothing in it is a JSON object."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    head = _object(lines[0][1])
    if head is None or len(lines) == 1:
        try:
            document = json.loads(text)
        except _BROKEN as error:
            if len(lines) == 1 or not any(_object(line) for _, line in lines[1:20]):
                raise InputError(f"{label} is not valid JSON: {_reason(error, text)}.") from None
        else:
            return _document(label, document)
    records, broken = [], {}
    for row, (_, line) in enumerate(lines):
        try:
            record = json.loads(line)
        except _BROKEN as error:
            broken[row] = f"it is not valid JSON ({_reason(error)}): {shown(line)}"
            record = {}
        records.append(record)
    return _records(label, records, broken, [number for number, _ in lines])


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except _BROKEN:
        return None
    return value if isinstance(value, dict) else None


def _reason(error: Exception, text: str = "") -> str:
    if isinstance(error, json.JSONDecodeError):
        where = f" at line {error.lineno}, column {error.colno}" if text else f" at column {error.colno}"
        return f"{error.msg.rstrip(':')}{where}"
    return (
        "it is nested too deep" if isinstance(error, RecursionError) else "it has a number that is too long"
    )


def _document(label: str, document: Any) -> ListSource:
    if isinstance(document, list):
        return _records(label, document, {}, None)
    if not isinstance(document, dict):
        raise InputError(f"{label} holds a single JSON value, {shown(document)}, but must hold requests.")
    if "input_lens" in document:
        return _bench(label, document)
    if "request_throughput" in document or "total_input_tokens" in document:
        raise InputError(
            f"{label} is a result of 'vllm bench serve' without its requests ('input_lens' is missing): "
            "run the benchmark again with --save-detailed."
        )
    return _records(label, [document], {}, [1])


def _records(label: str, records: list[Any], broken: dict[int, str], lines: list[int] | None) -> ListSource:
    if not records:
        raise InputError(f"{label} is an empty list: it needs at least one request.")
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            broken[row] = f"it is {shown(record)}, but must be a JSON object with one request"
            records[row] = {}
    if "input_lens" in records[0]:
        raise InputError(f"{label} has several results of 'vllm bench serve': keep one per file.")
    names = dict.fromkeys(chain.from_iterable(records))
    return ListSource(label, {n: [r.get(n) for r in records] for n in names}, len(records), broken, lines)


def _bench(label: str, document: dict[str, Any]) -> ListSource:
    """Requests of `vllm bench serve --save-detailed`: finish = start + time to first token + inter-token times."""
    keys = ("input_lens", "output_lens", "start_times", "ttfts", "itls", "errors")
    lists: dict[str, list[Any]] = {}
    for key in keys:
        value = document.get(key)
        if value is None:
            continue
        if not isinstance(value, list):
            raise InputError(
                f"{label}: '{key}' is {shown(value)}, but must be a list with one entry per request."
            )
        lists[key] = value
    rows = len(lists.get("input_lens", ()))
    for key, values in lists.items():
        if len(values) != rows:
            raise InputError(
                f"{label}: '{key}' has {len(values)} entries, but 'input_lens' has {rows}: give one each."
            )
    if not rows:
        raise InputError(f"{label} has no requests: 'input_lens' is empty.")
    broken = {
        row: f"errors is {shown(error)}, but only requests without an error can be used"
        for row, error in enumerate(lists.pop("errors", ()))
        if error
    }
    ttfts, itls = lists.pop("ttfts", None), lists.pop("itls", None)
    if ttfts is not None and itls is not None and "start_times" in lists:
        finish: list[float | None] = []
        for row, parts in enumerate(zip(lists["start_times"], ttfts, itls, strict=True)):
            try:
                start, first, rest = parts
                finish.append(start + first + sum(rest))
            except (TypeError, OverflowError):
                finish.append(None)
                broken.setdefault(row, f"start_times, ttfts, itls are {shown(parts)}, but must be a number, a number "
                                       "and a list of numbers")  # fmt: skip
        lists["finish_s"] = list(finish)
    return ListSource(label, lists, rows, broken)
