"""Logs of an engine's steps, what each computed and how long it took: the plug-in's `step_log`, or vLLM's own log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.errors import InputError, ParameterError

KIND = "step log"
COLUMNS = ("running", "kv_tokens", "prefill_tokens", "pairs")  # what the costs of a clock multiply, after the base
ITERATION = re.compile(
    r"Iteration\(\d+\): (\d+) context requests, (\d+) context tokens, (\d+) generation requests, "
    r"(\d+) generation tokens, iteration elapsed time: ([\d.]+) ms, .*KV cache usage: ([\d.]+)%"
)
CACHE = re.compile(r"KV cache size: ([\d,]+) tokens")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """Steps of an engine: counts, one row for each step and a column for each of COLUMNS, and seconds."""

    counts: Floats
    seconds: Floats
    header: Mapping[str, Any] = field(default_factory=dict)  # vllm, model, date, kv_tokens, serving: as far as known
    notes: tuple[str, ...] = ()


def read_steps(path: Path, kv_tokens: int | None = None) -> Steps:
    """The steps of a log. `kv_tokens` is the size of the cache, for a log of vLLM's that does not say it.

    Raises InputError with the line that cannot be used, or where there are no steps.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror or error}.") from None
    return _own(text, path) if text.lstrip().startswith("{") else _vllms(text, path, kv_tokens)


def from_rows(rows: Iterable[Mapping[str, Any]], header: Mapping[str, Any]) -> Steps:
    """Steps as the plug-in counts them: objects with the keys COLUMNS and `ns`.

    Raises KeyError, TypeError or ValueError for anything else.
    """
    table = np.array([[float(row[key]) for key in (*COLUMNS, "ns")] for row in rows]).reshape(-1, len(COLUMNS) + 1)
    if not np.isfinite(table).all() or (table < 0).any():
        raise ValueError("a number is negative or not finite")
    table = table[table[:, -1] > 0]
    return Steps(table[:, :-1], table[:, -1] / 1e9, dict(header))


def _own(text: str, path: Path) -> Steps:
    header: dict[str, Any] = {}
    rows: list[Mapping[str, Any]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if row.get("kvolume") == KIND:
                header = row  # a server that was started again goes on in the same file
                continue
            from_rows([row], {})
        except (ValueError, KeyError, TypeError, AttributeError):
            if number == len(lines):  # cut off while it was written
                break
            raise InputError(
                f"Line {number} of '{path}' is not a step: expected an object with {', '.join(COLUMNS)} and ns. "
                f"Got {line[:60]!r} instead."
            ) from None
        rows.append(row)
    if not rows:
        raise InputError(f"'{path}' has no steps: start the server with the plug-in's setting step_log, and serve.")
    return from_rows(rows, header)


def _vllms(text: str, path: Path, kv_tokens: int | None) -> Steps:
    found = ITERATION.findall(text)
    if not found:
        raise InputError(
            f"'{path}' has no steps: it is neither a step log of kvolume's plug-in nor a log of "
            "`vllm serve --enable-logging-iteration-details`."
        )
    size = CACHE.search(text)
    if kv_tokens is None and size is None:
        raise ParameterError(f"'{path}' does not say how many tokens the KV cache holds: give --kv-tokens.")
    cache = kv_tokens if kv_tokens is not None or size is None else int(size[1].replace(",", ""))
    table = np.array(found, np.float64)
    table = table[table[:, 4] > 0]
    prefilling, prefill, decoding, _, ms, used = table.T
    counts = np.column_stack((prefilling + decoding, used / 100 * float(cache or 0), prefill, np.zeros(len(table))))
    note = (
        "vLLM's own log does not say how tokens attend to each other: prefill_pair is 0; its times leave out what "
        "happens between two passes, so that the base is too short. The plug-in's step_log has both."
    )
    return Steps(counts, ms / 1e3, {"kv_tokens": cache}, (note,))
