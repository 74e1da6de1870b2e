"""Results of `vllm bench serve --save-result --save-detailed`, and the batches that they let one see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.errors import InputError
from kvolume.geometry import attention_pairs
from kvolume.workload import Workload

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DETAILS = ("input_lens", "output_lens", "ttfts", "itls")


@dataclass(frozen=True)
class Bench:
    """The requests of a benchmark that were answered, in seconds and tokens; `start` counts from the first."""

    name: str
    start: Floats
    prompt: Ints
    output: Ints
    ttft: Floats
    e2el: Floats
    gaps: Floats  # between the pieces that the client received, of all requests one after the other
    pieces: Ints  # gaps of each request
    failed: int
    known: Mapping[str, Any]  # the rest of the file: date, model_id, request_rate, ...
    notes: tuple[str, ...] = ()

    @property
    def tpot(self) -> Floats:
        """Seconds per output token after the first, of the requests with more than one (vLLM's formula)."""
        more = self.output > 1
        return np.asarray((self.e2el - self.ttft)[more] / (self.output[more] - 1), np.float64)

    def workload(self) -> Workload:
        """The same requests, to be simulated."""
        return Workload(None, self.prompt, self.output, arrival_s=self.start, name=self.name)


def read_bench(path: Path, seed: int = 0) -> Bench:
    """The detailed result in a file. Without `start_times` (before vLLM 0.11) arrivals are drawn from rate and seed.

    Raises InputError for what is not a detailed result.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise InputError(
            f"'{path}' is not a result of `vllm bench serve`: {error}. (With --append-result a file holds several; "
            "give each its own.)"
        ) from None
    missing = [key for key in DETAILS if not isinstance(values, dict) or not isinstance(values.get(key), list)]
    if missing:
        raise InputError(
            f"'{path}' has no '{missing[0]}': save it with `vllm bench serve --save-result --save-detailed`."
        )
    return _checked(values, path, seed)


def _checked(values: dict[str, Any], path: Path, seed: int) -> Bench:
    n = len(values["ttfts"])
    for key in DETAILS:
        if len(values[key]) != n:
            raise InputError(f"'{path}' has {n} ttfts but {len(values[key])} {key}: it was not written in one piece.")
    try:
        prompt, output = (np.array(values[key], np.float64) for key in DETAILS[:2])
        ttft = np.array(values["ttfts"], np.float64)
        itls = [np.array(x, np.float64) for x in values["itls"]]
    except (TypeError, ValueError):
        raise InputError(f"'{path}' has something other than numbers in {', '.join(DETAILS)}.") from None
    done = (prompt >= 1) & (output >= 1) & (ttft > 0) & np.isfinite(ttft)
    if not done.any():
        raise InputError(f"'{path}' has no request that was answered.")
    start, notes = _starts(values, n, path, seed)
    rows = np.flatnonzero(done)
    rows = rows[np.argsort(start[rows], kind="stable")]
    gaps = [itls[i] for i in rows]
    e2el = np.array([ttft[i] + itls[i].sum() for i in rows])
    if n > rows.size:
        notes.append(f"{n - rows.size} of {n} requests failed and are left out.")
    known = {key: value for key, value in values.items() if not isinstance(value, list)}
    return Bench(
        path.stem, start[rows] - start[rows[0]], prompt[rows].astype(np.int64), output[rows].astype(np.int64),
        ttft[rows], e2el, np.concatenate(gaps), np.array([g.size for g in gaps], np.int64), n - rows.size, known,
        tuple(notes),
    )  # fmt: skip


def _starts(values: dict[str, Any], n: int, path: Path, seed: int) -> tuple[Floats, list[str]]:
    """When each request was sent, and what must be said about it."""
    given = values.get("start_times")
    if isinstance(given, list) and len(given) == n:
        return np.array(given, np.float64), []
    try:
        rate, shape = float(values["request_rate"]), float(values.get("burstiness") or 1.0)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"'{path}' has neither start_times nor a request_rate: when were requests sent?") from None
    if not np.isfinite(rate):
        return np.zeros(n), ["No start times were saved: all requests are sent at once, as the rate says."]
    between = np.random.default_rng(seed).gamma(shape, 1 / (rate * shape), n - 1)
    return np.concatenate(([0.0], np.cumsum(between))), [
        f"No start times were saved: requests are sent at {rate:g} per second, drawn with seed {seed}."
    ]


def batches(bench: Bench) -> tuple[Floats, Floats, Floats]:
    """The batches that requests decoded in, as seen from the client; for each request with two tokens or more.

    Gives counts (columns as in `steps.COLUMNS`, averaged over the request's gaps), seconds per token, and how many
    gaps that is an average of. The jitter of the client cancels out over the gaps of a request. Who decodes at a
    moment, and how much they hold, follows from the times of all tokens; a prompt counts as prefilled in the gap in
    which its first token comes.
    """
    first, end = bench.start + bench.ttft, bench.start + bench.e2el
    owner = np.repeat(np.arange(first.size), bench.pieces)
    total = np.cumsum(bench.gaps)
    before = np.concatenate(([0.0], total))[np.cumsum(bench.pieces) - bench.pieces]
    offset = total - np.repeat(before, bench.pieces)
    t1 = first[owner] + offset
    t0 = t1 - bench.gaps
    middle = (t0 + t1) / 2
    tokens = ((bench.output - 1) / np.maximum(bench.pieces, 1))[owner]  # in each piece after the first
    running = Tally(first, np.ones(first.size)).at(middle) - Tally(end, np.ones(end.size)).at(middle)
    joined = np.concatenate((first, t1, end))
    amounts = np.concatenate((bench.prompt, tokens, -(bench.prompt + bench.output - 1.0)))
    held = Tally(joined, amounts).at(middle)
    prefill, pairs = Tally(first, bench.prompt * 1.0), Tally(first, attention_pairs(0, bench.prompt) * 1.0)
    some = bench.pieces > 0
    each = np.column_stack((running, held, prefill.at(t1) - prefill.at(t0), pairs.at(t1) - pairs.at(t0)))
    sums = np.column_stack([np.bincount(owner, column, first.size) for column in each.T])[some]
    n = bench.pieces[some].astype(np.float64)
    per_gap = (bench.e2el - bench.ttft)[some] / n
    return np.maximum(sums / n[:, None], 0.0), per_gap, n


def alone(bench: Bench) -> tuple[Floats, Floats]:
    """Requests that came while nobody else was there: their counts in the step that prefills them, and their TTFT."""
    end = bench.start + bench.e2el
    before = np.concatenate(([-np.inf], np.maximum.accumulate(end)[:-1]))
    after = np.concatenate((bench.start[1:], [np.inf]))
    rows = (bench.start >= before) & (after >= bench.start + bench.ttft)
    s = bench.prompt[rows] * 1.0
    return np.column_stack((np.ones(s.size), s, s, attention_pairs(0, bench.prompt[rows]) * 1.0)), bench.ttft[rows]


class Tally:
    """A sum of amounts over time."""

    def __init__(self, times: Floats, amounts: npt.NDArray[np.floating[Any]]) -> None:
        by = np.argsort(times, kind="stable")
        self.times = times[by]
        self.total = np.concatenate(([0.0], np.cumsum(amounts[by])))

    def at(self, times: Floats) -> Floats:
        """The sum up to and with each of these times."""
        return np.asarray(self.total[np.searchsorted(self.times, times, "right")], np.float64)
