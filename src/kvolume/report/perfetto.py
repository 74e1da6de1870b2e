"""One simulation as a timeline for ui.perfetto.dev or chrome://tracing (the Trace Event Format, JSON)."""

from __future__ import annotations

import heapq
import json
from pathlib import Path
from typing import Any

import numpy as np

from kvolume.engine.result import Result
from kvolume.report.series import completed, kv_use, queue_steps, stay_times

MOST_REQUESTS = 20_000
MOST_COUNTS = 4_000


def events(result: Result, *, most_requests: int = MOST_REQUESTS) -> dict[str, Any]:
    """A trace of a result: counters of KV tokens and waiting requests, and a slice for each stay in the cache.

    Rounds are drawn as milliseconds. Only the first `most_requests` requests to be admitted get slices; the
    counters always count all of them.
    """
    micros = 1e6 if result.unit == "s" else 1e3
    begin, end = stay_times(result)
    stays, evicted = result.episodes, ~completed(result)
    shown = np.zeros(len(result.workload), bool)
    admitted = stays.request[np.sort(np.unique(stays.request, return_index=True)[1])]
    shown[admitted[:most_requests]] = True
    rows = np.flatnonzero(shown[stays.request])
    tracks = _tracks(begin[rows], end[rows])
    out: list[dict[str, Any]] = [
        {
            "ph": "M",
            "pid": 1,
            "name": "process_name",
            "args": {"name": f"{result.policy}, {result.kv_tokens} KV tokens"},
        }
    ]
    out += [
        {"ph": "M", "pid": 1, "tid": t + 1, "name": "thread_name", "args": {"name": f"slot {t + 1}"}}
        for t in range(max(tracks, default=-1) + 1)
    ]
    prompt, output = result.workload.prompt_tokens, result.workload.output_tokens
    for row, track in zip(rows.tolist(), tracks, strict=True):
        r = int(stays.request[row])
        out.append({
            "ph": "X", "pid": 1, "tid": track + 1, "name": f"request {r}{' (evicted)' if evicted[row] else ''}",
            "ts": _micros(begin[row], micros), "dur": _micros(end[row] - begin[row], micros),
            "args": {
                "prompt_tokens": int(prompt[r]), "output_tokens": int(output[r]), "kept_tokens": int(stays.kept[row]),
                "arrival": result.arrival[r].item(), "waited": float(begin[row] - result.arrival[r]),
            },
        })  # fmt: skip
    use = kv_use(result, MOST_COUNTS)
    out += _counter("KV tokens", use.edges[:-1], use.values, micros)
    out += _counter("waiting requests", *queue_steps(result), micros)
    notes = {"policy": result.policy, "unit": "1 round is drawn as 1 ms" if result.unit != "s" else "seconds"}
    if admitted.size > most_requests:
        notes["slices"] = f"the first {most_requests} of {admitted.size} requests; the counters count all"
    return {"traceEvents": out, "displayTimeUnit": "ms", "otherData": notes}


def write(result: Result, path: Path) -> list[str]:
    """Write the trace of `result` to `path`; returns a note where not every request has a slice."""
    trace = events(result)
    path.write_text(json.dumps(trace, separators=(",", ":"), allow_nan=False))
    note = trace["otherData"].get("slices", "")
    return [f"The timeline has slices for {note}."] if note else []


def _tracks(begin: Any, end: Any) -> list[int]:
    """A track for each slice so that those of a track do not overlap, the lowest free one first."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    used, out = 0, np.zeros(len(begin), np.int64)
    for i in np.argsort(begin, kind="stable").tolist():
        while busy and busy[0][0] <= begin[i]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            track = heapq.heappop(free)
        else:
            track, used = used, used + 1
        heapq.heappush(busy, (float(end[i]), track))
        out[i] = track
    return out.tolist()


def _counter(name: str, times: Any, values: Any, micros: float) -> list[dict[str, Any]]:
    """Counter events where the value changes, thinned to the largest value of each stretch."""
    step = max(1, -(-len(values) // MOST_COUNTS))
    starts = np.arange(0, len(values), step)
    values = np.maximum.reduceat(values, starts) if len(values) else values
    times = np.asarray(times)[starts]
    changed = np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(values) else starts
    return [
        {"ph": "C", "pid": 1, "name": name, "ts": _micros(times[i], micros), "args": {name: int(values[i])}}
        for i in changed.tolist()
    ]


def _micros(value: float, factor: float) -> float:
    return round(float(value) * factor, 3)
