"""A workload: which requests arrive when, and how long they are. Immutable, checked once, at the door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kvolume.clock import UNIT, Clock, Shares
from kvolume.errors import InputError, ParameterError
from kvolume.geometry import volume
from kvolume.workload.columns import as_arrival_rounds, as_seconds, as_tokens
from kvolume.workload.prefix import PrefixBlocks

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Predictor(Protocol):
    """Anything that predicts the output lengths of a workload (kvolume.predict has some)."""

    def predict(self, workload: Workload, rng: np.random.Generator) -> npt.NDArray[Any]:
        """Predicted output tokens, at least 1, shape (n,)."""
        ...


@dataclass(frozen=True, eq=False)
class Workload:
    """Requests as columns, in the order given; results keep that order.

    Give `arrival` (integers: rounds of the unit-step model) or `arrival_s` (seconds; a clock turns them into
    rounds), never both; give neither where only lengths are known, then set arrivals with `burst`, `poisson`
    or `with_arrivals`. `prompt_tokens` may be 0, `output_tokens` must be at least 1.

    Optional columns: `predicted` (what a policy is told of each output length), `lower` and `upper` bounds on
    it, `client` (any labels), `finish_s` (a log's own completion times, never before arrival_s; copies with
    other arrivals drop it). `prefix`: ids of the prompts' blocks, for the serving engine's prefix caching.

    Raises InputError with the index (from 0) and value of the first entry that cannot be used.
    """

    prompt_tokens: Ints
    output_tokens: Ints
    arrival: Ints | None = None
    arrival_s: Floats | None = None
    predicted: npt.NDArray[Any] | None = None
    lower: Ints | None = None
    upper: Ints | None = None
    client: npt.NDArray[Any] | None = None
    finish_s: Floats | None = None
    prefix: PrefixBlocks | None = field(default=None, repr=False)
    name: str = "workload"
    notes: tuple[str, ...] = field(default=(), repr=False)  # what was done to it, said once to the user

    def __init__(
        self,
        arrival: Sequence[int] | npt.ArrayLike | None = None,
        prompt_tokens: Sequence[int] | npt.ArrayLike = (),
        output_tokens: Sequence[int] | npt.ArrayLike = (),
        *,
        arrival_s: Sequence[float] | npt.ArrayLike | None = None,
        predicted: npt.ArrayLike | None = None,
        lower: npt.ArrayLike | None = None,
        upper: npt.ArrayLike | None = None,
        client: npt.ArrayLike | None = None,
        finish_s: npt.ArrayLike | None = None,
        prefix: PrefixBlocks | None = None,
        name: str = "workload",
        notes: tuple[str, ...] = (),
    ) -> None:
        if arrival is not None and arrival_s is not None:
            raise InputError("Give 'arrival' (rounds) or 'arrival_s' (seconds), not both.")
        put = object.__setattr__
        put(self, "prompt_tokens", as_tokens(prompt_tokens, "prompt_tokens", least=0))
        put(self, "output_tokens", as_tokens(output_tokens, "output_tokens", least=1))
        n = self.prompt_tokens.size
        if n == 0:
            raise InputError("The workload is empty: it needs at least one request.")
        put(self, "arrival", None if arrival is None else as_arrival_rounds(arrival))
        put(self, "arrival_s", None if arrival_s is None else as_seconds(arrival_s, "arrival_s"))
        put(self, "predicted", None if predicted is None else _predicted(predicted))
        put(self, "lower", None if lower is None else as_tokens(lower, "lower", least=1))
        put(self, "upper", None if upper is None else as_tokens(upper, "upper", least=1))
        put(self, "client", None if client is None else np.asarray(client))
        put(self, "finish_s", None if finish_s is None else as_seconds(finish_s, "finish_s"))
        _check_finish(self.arrival_s, self.finish_s)
        if prefix is not None:
            prefix.check(self.prompt_tokens)
        put(self, "prefix", prefix)
        put(self, "name", name)
        put(self, "notes", notes)
        for column in _COLUMNS:
            values = getattr(self, column)
            if values is not None:
                if values.shape != (n,):
                    raise InputError(
                        f"Column '{column}' has shape {values.shape}, but prompt_tokens has {n} rows: "
                        "give one value each."
                    )
                if values.flags.writeable:
                    values = values.copy() if values.base is not None else values
                    values.flags.writeable = False
                    put(self, column, values)

    def __len__(self) -> int:
        return int(self.prompt_tokens.size)

    # ---------------------------------------------------------------- where workloads come from
    @classmethod
    def read(cls, path: str | Path, *, skip_bad_rows: bool = False) -> Workload:
        """Read a request log; the format is recognised by its content (see `kvolume.workload.read`)."""
        from kvolume.workload.read import read

        return read(path, skip_bad_rows=skip_bad_rows)

    @classmethod
    def synthetic(cls, name: str, n: int | None = None, seed: int = 0) -> Workload:
        """Draw `n` requests from a built-in workload's published length quantiles and arrival shape."""
        from kvolume.workload.synthetic import synthetic

        return synthetic(name, n, seed)

    # ---------------------------------------------------------------- views
    @property
    def unit(self) -> str:
        """`s` where arrivals are seconds, else `rounds`."""
        return "s" if self.arrival_s is not None else "rounds"

    @property
    def has_arrivals(self) -> bool:
        """Are arrival times known?"""
        return self.arrival is not None or self.arrival_s is not None

    def arrival_ticks(self, clock: Clock = UNIT) -> Ints:
        """Arrivals in the clock's ticks, in the order given. Raises InputError where they are not known.

        Rounds are ticks of a unit clock only; a clock whose rounds differ in length needs seconds (a burst at
        round 0 is the same under every clock).
        """
        if self.arrival_s is not None:
            return clock.ticks(self.arrival_s)
        if self.arrival is None:
            raise InputError(
                f"'{self.name}' has lengths but no arrival times: use burst(), poisson(...) or at_load(...), "
                "or --burst, --arrivals poisson, --load on the command line."
            )
        if not clock.unit and self.arrival.any():
            raise InputError(
                f"'{self.name}' has arrivals in rounds, which the clock '{clock.name}' cannot place: give "
                "arrival_s."
            )
        return self.arrival

    def load(self, kv_tokens: int, clock: Clock = UNIT) -> float:
        """Offered KV volume over capacity while requests arrive; infinite for a burst."""
        ticks = self.arrival_ticks(clock)
        span = int(ticks.max() - ticks.min())
        work = float(np.sum(clock.work(self.prompt_tokens, self.output_tokens, Shares(1 / kv_tokens))))
        return work / span if span else float("inf")

    def volumes(self) -> Ints:
        """KV volume of each request in token-steps (unit model)."""
        return np.asarray(volume(self.prompt_tokens, self.output_tokens))

    # ---------------------------------------------------------------- changed copies
    def burst(self) -> Workload:
        """The same requests, all arriving at time 0."""
        return self._with(arrival=np.zeros(len(self), np.int64), arrival_s=None, finish_s=None)

    def at_load(self, load: float, kv_tokens: int, *, clock: Clock = UNIT, seed: int = 0) -> Workload:
        """The same requests with arrival times scaled so that `load(kv_tokens, clock)` is `load`.

        Workloads without arrival times get Poisson ones. Raises ParameterError unless 0 < load < inf.
        """
        if not 0 < load < float("inf"):
            raise ParameterError(f"The load must be a positive number. Got {load!r} instead.")
        base = self if self.has_arrivals else self.poisson(seed=seed)
        work = float(np.sum(clock.work(self.prompt_tokens, self.output_tokens, Shares(1 / kv_tokens))))
        return base._stretched(work / load, clock)

    def at_rate(self, requests_per_s: float, *, seed: int = 0) -> Workload:
        """The same requests with arrival times scaled to this mean rate; Poisson where there are none."""
        if not 0 < requests_per_s < float("inf"):
            raise ParameterError(
                f"The request rate must be a positive number per second. Got {requests_per_s!r} instead."
            )
        base = self if self.arrival_s is not None else self.poisson(seed=seed)
        assert base.arrival_s is not None
        span = float(base.arrival_s.max() - base.arrival_s.min())
        if span == 0:
            if len(self) == 1:
                return base
            raise InputError(
                f"All requests of '{self.name}' arrive at once: no rate can be set. Use --arrivals poisson."
            )
        gap = (len(self) - 1) / requests_per_s
        arrival_s = (base.arrival_s - base.arrival_s.min()) * (gap / span)
        return base._with(arrival=None, arrival_s=arrival_s, finish_s=None)

    def poisson(self, *, seed: int = 0) -> Workload:
        """The same requests with Poisson arrivals, one a second on average (scale with at_load or at_rate)."""
        from kvolume.workload.arrivals import gaps

        return self.with_gaps(gaps("poisson", len(self), np.random.default_rng(seed)))

    def with_gaps(self, gaps_s: Floats) -> Workload:
        """The same requests, the i-th in arrival order following the one before by `gaps_s[i]` seconds."""
        times = np.cumsum(gaps_s) - gaps_s[0]
        arrival_s = np.empty_like(times)
        arrival_s[self.arrival_order()] = times
        return self._with(arrival=None, arrival_s=arrival_s, finish_s=None)

    def with_arrivals(self, times: npt.ArrayLike) -> Workload:
        """The same requests arriving at `times`, in the order given: integers are rounds, floats are seconds."""
        given = np.asarray(times)
        rounds = given.dtype.kind in "iu"
        return self._with(
            arrival=given if rounds else None, arrival_s=None if rounds else given, finish_s=None
        )

    def with_predictions(self, predictor: Predictor, seed: int = 0) -> Workload:
        """The same requests with `predicted` set by a predictor (see `kvolume.predict`)."""
        return self._with(predicted=predictor.predict(self, np.random.default_rng(seed)))

    def slice(self, start: int, stop: int | None = None) -> Workload:
        """Requests start..stop of the order given."""
        return self.take(np.arange(*slice(start, stop).indices(len(self))))

    def take(self, rows: npt.ArrayLike) -> Workload:
        """The rows named, in that order (a row may be named more than once)."""
        index = np.asarray(rows)
        changes = {c: None if (v := getattr(self, c)) is None else v[index] for c in _COLUMNS}
        if self.prefix is not None:
            changes["prefix"] = self.prefix.take(np.arange(len(self))[index])
        return self._with(**changes)

    def noted(self, *notes: str) -> Workload:
        """The same workload with notes added for the user."""
        return self._with(notes=(*self.notes, *notes))

    def renamed(self, name: str) -> Workload:
        """The same workload under another name."""
        return self._with(name=name)

    def arrival_order(self) -> Ints:
        """Row numbers in order of arrival, ties in the order given."""
        times = self.arrival_s if self.arrival_s is not None else self.arrival
        if times is None:
            return np.arange(len(self))
        return np.argsort(times, kind="stable")

    def _stretched(self, span_ticks: float, clock: Clock) -> Workload:
        """Arrival times scaled linearly so that first to last takes `span_ticks`."""
        times = self.arrival_s if self.arrival_s is not None else self.arrival
        assert times is not None
        span = float(times.max() - times.min())
        if span == 0 and len(self) > 1:
            raise InputError(
                f"All requests of '{self.name}' arrive at once: no load can be set. Use --arrivals poisson."
            )
        factor = span_ticks / span if span else 0.0
        if self.arrival_s is not None:
            arrival_s = (self.arrival_s - self.arrival_s.min()) * (factor * clock.tick_s)
            return self._with(arrival_s=arrival_s, finish_s=None)
        return self._with(arrival=np.rint((times - times.min()) * factor).astype(np.int64), finish_s=None)

    def _with(self, **changes: Any) -> Workload:
        fields: dict[str, Any] = {c: getattr(self, c) for c in (*_COLUMNS, "prefix", "name", "notes")} | changes
        return Workload(
            fields.pop("arrival"), fields.pop("prompt_tokens"), fields.pop("output_tokens"), **fields
        )


_COLUMNS = (
    "prompt_tokens", "output_tokens", "arrival", "arrival_s", "predicted", "lower", "upper", "client", "finish_s",
)  # fmt: skip


def _check_finish(arrival_s: Floats | None, finish_s: Floats | None) -> None:
    if arrival_s is None or finish_s is None or arrival_s.shape != finish_s.shape:
        return  # shapes are checked for all columns at once
    early = finish_s < arrival_s
    if early.any():
        row = int(np.argmax(early))
        raise InputError(
            f"Index {row}: finish_s is {finish_s[row]:g}, but must not be before arrival_s "
            f"{arrival_s[row]:g}."
        )


def _predicted(values: npt.ArrayLike) -> npt.NDArray[Any]:
    x = np.asarray(values)
    if x.dtype.kind in "iu":
        return as_tokens(x, "predicted", least=1)
    floats = as_seconds(x, "predicted")
    if floats.size and floats.min() < 1:
        row = int(np.argmax(floats < 1))
        raise InputError(f"Index {row}: predicted is {floats[row]:g}, but an output has at least 1 token.")
    return floats
