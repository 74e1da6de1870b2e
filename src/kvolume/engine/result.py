"""What a simulation gives back: times per request, and everything that follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.clock import Clock
from kvolume.engine.served import Served
from kvolume.workload import Workload

Ints = npt.NDArray[np.int64]
NEVER = -1


class Episodes(NamedTuple):
    """Every stay of a request in the KV cache, in order of admission; an evicted request has several.

    In round `begin + k`, k = 0 .. end - begin - 1, the request holds prompt + kept + k + 1 tokens, unless the policy
    pauses requests: the rounds of a pause add none (Run.held).
    """

    request: Ints  # row of the workload
    begin: Ints  # first round
    end: Ints  # first round after it
    kept: Ints  # output tokens kept from earlier stays


class Steps(NamedTuple):
    """A quantity that is `base + slope * round` from each of the rounds `at` until the next."""

    at: Ints
    base: Ints
    slope: Ints


class Segments(NamedTuple):
    """When rounds begin: `tick[j]` is the time at which round `round[j]` begins; in between the batch is constant."""

    round: Ints
    tick: Ints


@dataclass(frozen=True, eq=False)
class Run:
    """An engine's raw answer, in arrival order and clock ticks. NEVER (-1) stands for what did not happen."""

    start: Ints
    first_token: Ints
    finish: Ints
    evictions: Ints
    queued: npt.NDArray[np.bool_]
    episodes: Episodes | None  # None: everybody stayed once, from start to finish
    segments: Segments | None  # None: every round takes one tick
    kv_token_ticks: float  # integral of held KV tokens over time
    finished: bool  # False: the policy cycled (livelock) and was stopped
    served: Served | None = None  # of the serving engine
    held: Steps | None = None  # KV tokens held, where requests pause; else they follow from the stays


@dataclass(frozen=True, eq=False)
class Result:
    """One policy on one workload. Arrays are in the workload's order.

    `start`, `first_token`, `finish` and `arrival` are in the workload's unit: integer rounds (-1 where it never
    happened), or seconds (nan where it never happened). A request that starts at x makes its first token during
    the iteration that begins at x.
    """

    workload: Workload = field(repr=False)
    policy: str
    kv_tokens: int
    clock: Clock = field(repr=False)
    engine: str
    status: str  # "finished" or "livelock"
    arrival: npt.NDArray[Any] = field(repr=False)
    start: npt.NDArray[Any] = field(repr=False)
    first_token: npt.NDArray[Any] = field(repr=False)
    finish: npt.NDArray[Any] = field(repr=False)
    evictions: Ints = field(repr=False)
    queued: npt.NDArray[np.bool_] = field(repr=False)
    rejected: npt.NDArray[np.bool_] = field(repr=False)
    kv_token_ticks: float = field(repr=False)
    stays: Episodes | None = field(repr=False)  # None: everybody stayed once, from start to finish
    segments: Segments | None = field(repr=False)
    wall_seconds: float = field(repr=False, default=0.0)
    notes: tuple[str, ...] = field(repr=False, default=())
    served: Served | None = field(repr=False, default=None)  # of the serving engine
    held: Steps | None = field(repr=False, default=None)  # KV tokens held, where requests pause

    @property
    def unit(self) -> str:
        """`rounds` or `s`."""
        return "s" if self.finish.dtype.kind == "f" else "rounds"

    @property
    def tick(self) -> float:
        """How many of the unit one clock tick is."""
        return self.clock.tick_s if self.unit == "s" else 1.0

    @cached_property
    def episodes(self) -> Episodes:
        """Every stay in the KV cache, in rounds."""
        if self.stays is not None:
            return self.stays
        rows = np.flatnonzero(self.done)
        begin = self.start[rows] if self.unit == "rounds" else np.rint(self.start[rows] / self.tick).astype(np.int64)
        order = np.argsort(begin, kind="stable")
        rows, begin = rows[order], begin[order]
        return Episodes(rows, begin, begin + self.workload.output_tokens[rows], np.zeros_like(begin))

    @cached_property
    def done(self) -> npt.NDArray[np.bool_]:
        """Which requests finished."""
        return np.asarray(self.finish >= 0)

    @cached_property
    def latency(self) -> npt.NDArray[Any]:
        """End-to-end latency (finish - arrival) of the requests that finished, in the workload's order."""
        return np.asarray((self.finish - self.arrival)[self.done])

    @cached_property
    def per_token(self) -> npt.NDArray[np.float64]:
        """End-to-end latency per output token of the requests that finished (the SVF paper's metric)."""
        return np.asarray(self.latency / self.workload.output_tokens[self.done])

    @property
    def total_latency(self) -> float | None:
        """TEL, the sum of all latencies; None where some request never finished."""
        return None if self.status != "finished" else self.latency.sum().item()

    def metrics(self) -> dict[str, Any]:
        """The row of `compare`: latencies in `unit`, counts, utilisation. None where nothing can be said."""
        n, finished = len(self.workload), int(self.done.sum())
        rejected = int(self.rejected.sum())
        complete = self.status == "finished" and finished > 0
        row: dict[str, Any] = dict.fromkeys(
            ("mean_latency", "p50", "p90", "p99", "p999", "max", "mean_per_token", "p95_per_token", "queued_share",
             "makespan", "kv_utilisation")
        )  # fmt: skip
        if complete:
            p50, p90, p99, p999 = np.percentile(self.latency, (50, 90, 99, 99.9)).tolist()
            first, last = self.arrival[self.done].min(), self.finish[self.done].max()
            makespan = (last - first).item()
            row |= {
                "mean_latency": float(self.latency.mean()),
                "p50": p50, "p90": p90, "p99": p99, "p999": p999, "max": self.latency.max().item(),
                "mean_per_token": float(self.per_token.mean()),
                "p95_per_token": float(np.percentile(self.per_token, 95)),
                "queued_share": float(self.queued[self.done].mean()),
                "makespan": makespan,
                "kv_utilisation": self.kv_token_ticks * self.tick / (self.kv_tokens * makespan),
            }  # fmt: skip
        started = int((self.start >= 0).sum())
        return row | {
            "evictions": int(self.evictions.sum()),
            "injected": n,
            "finished": finished,
            "running_or_waiting": n - finished - rejected,
            "started": started,
            "rejected": rejected,
            "status": self.status,
        }


def in_unit(ticks: Ints, rows: Ints | slice, n: int, clock: Clock, unit: str) -> npt.NDArray[Any]:
    """Ticks of the requests `rows` scattered into an array of all `n`, in rounds or seconds."""
    if unit == "s":
        out = np.full(n, np.nan)
        out[rows] = np.where(ticks == NEVER, np.nan, ticks * clock.tick_s)
        return out
    whole = np.full(n, NEVER, np.int64)
    whole[rows] = ticks
    return whole
