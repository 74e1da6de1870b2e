"""KV use and queue length over time, exactly, from the stays of requests in the cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.engine.result import Result, Steps

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Series(NamedTuple):
    """The largest value in each bin of time: `edges` (one more than `values`) in the result's unit."""

    edges: Floats
    values: Floats


def kv_steps(result: Result) -> Steps:
    """KV tokens held in each round: it rises by one per running request and falls when one leaves."""
    if result.held is not None:
        return result.held
    stays = result.episodes
    first = result.workload.prompt_tokens[stays.request] + stays.kept + 1 - stays.begin
    at, base, slope = _summed(
        np.concatenate((stays.begin, stays.end)),
        np.concatenate((first, -first)),
        np.concatenate((np.ones_like(first), -np.ones_like(first))),
    )
    return Steps(at, base, slope)


def kv_use(result: Result, bins: int = 800) -> Series:
    """The most KV tokens held in each of `bins` bins of time."""
    steps, clock = kv_steps(result), RoundTimes(result)
    edges = _edges(result, bins)
    if not steps.at.size:
        return Series(edges, np.zeros(bins))
    # Between two changes the use rises, so that the largest value of a bin is at a last round before a change or
    # at the last round of the bin itself.
    last = np.minimum(clock.round_at(edges[1:]), steps.at[-1] - 1)
    rounds = np.concatenate((steps.at[1:] - 1, last))
    which = np.searchsorted(steps.at, rounds, "right") - 1
    value = np.where(which >= 0, steps.base[which] + steps.slope[which] * rounds, 0)
    bin_of = np.concatenate((_bin(edges, clock.time_of(steps.at[1:] - 1)), np.arange(bins)))
    # A bin in a pause of the machine holds nothing, whatever the last round before it held.
    live = np.ones(rounds.size, bool)
    live[steps.at.size - 1 :] = _running(result, edges) > 0
    out = np.zeros(bins)
    np.maximum.at(out, bin_of[live], value[live])
    return Series(edges, out)


def queue_length(result: Result, bins: int = 800) -> Series:
    """The most requests that waited at once in each of `bins` bins of time, evicted ones included."""
    times, length = queue_steps(result)
    edges = _edges(result, bins)
    return Series(edges, _largest(edges, times, length))


def queue_steps(result: Result) -> tuple[Floats, Ints]:
    """The times at which the number of waiting requests changes, and the number from then on."""
    stays, clock = result.episodes, RoundTimes(result)
    arrival = result.workload.arrival_ticks(result.clock)[~result.rejected]
    start, back = clock.ticks(stays.begin), clock.ticks(stays.end[~completed(result)])
    at, change = _summed(
        np.concatenate((arrival, start, back)),
        np.concatenate((np.ones_like(arrival), -np.ones_like(start), np.ones_like(back))),
    )
    return at * result.tick, change


def completed(result: Result) -> npt.NDArray[np.bool_]:
    """Which stays end with the request's last token; the others end with an eviction."""
    request = result.episodes.request
    last = np.zeros(len(result.workload), np.int64)
    last[request] = np.arange(request.size)
    return np.asarray((last[request] == np.arange(request.size)) & result.done[request])


def stay_times(result: Result) -> tuple[Floats, Floats]:
    """When each stay begins and ends, in the result's unit."""
    stays, clock = result.episodes, RoundTimes(result)
    # A finish is a time of its own: the next round may begin much later, after a pause.
    end = np.where(completed(result), result.finish[stays.request], clock.time_of(stays.end))
    return clock.time_of(stays.begin), end


class RoundTimes:
    """Rounds to times and back, in the result's unit; between known rounds by interpolation."""

    def __init__(self, result: Result) -> None:
        self.tick, self.known = result.tick, result.segments is not None
        if result.segments is None:
            return
        self.round, self.begin = result.segments
        stays, done = result.episodes, completed(result)
        last = max(int(stays.end.max(initial=0)), int(self.round[-1]) + 1)
        self.length = np.maximum(1, np.diff(self.round, append=last))
        # A stretch ends when the next begins, or earlier, before a pause: then with somebody's last token.
        self.end = np.append(self.begin[1:], self.begin[-1] + 1)
        finish = np.rint(result.finish[stays.request[done]] / self.tick).astype(np.int64)
        which = np.searchsorted(self.round, stays.end[done], "left") - 1
        exact = stays.end[done] == self.round[which] + self.length[which]
        self.end[which[exact]] = finish[exact]

    def ticks(self, rounds: Ints) -> Ints:
        """Clock ticks at which these rounds begin."""
        if not self.known:
            return rounds
        j = np.clip(np.searchsorted(self.round, rounds, "right") - 1, 0, None)
        part = (rounds - self.round[j]) / self.length[j]
        return np.asarray(np.rint(self.begin[j] + part * (self.end[j] - self.begin[j])), np.int64)

    def time_of(self, rounds: Ints) -> Floats:
        """Times at which these rounds begin."""
        return np.asarray(self.ticks(rounds) * self.tick, np.float64)

    def round_at(self, times: Floats) -> Ints:
        """The last round that begins before each of these times."""
        ticks = times / self.tick
        if not self.known:
            return np.asarray(np.ceil(ticks - 1e-9) - 1, np.int64)
        j = np.clip(np.searchsorted(self.begin, ticks, "left") - 1, 0, None)
        part = np.minimum(1, (ticks - self.begin[j]) / np.maximum(1, self.end[j] - self.begin[j]))
        return np.asarray(self.round[j] + np.ceil(part * self.length[j] - 1e-9) - 1, np.int64)


def _summed(at: npt.NDArray[Any], *changes: Ints) -> tuple[npt.NDArray[Any], ...]:
    """Times in order, each once, and the running totals of the changes."""
    order = np.argsort(at, kind="stable")
    at = at[order]
    first = np.flatnonzero(np.r_[True, at[1:] != at[:-1]]) if at.size else np.zeros(0, np.int64)
    totals = [np.cumsum(np.add.reduceat(c[order], first)) if at.size else c for c in changes]
    return (at[first], *totals)


def _running(result: Result, edges: Floats) -> Floats:
    """The most requests that ran at once in each bin."""
    begin, end = stay_times(result)
    one = np.ones(begin.size, np.int64)
    return _largest(edges, *_summed(np.concatenate((begin, end)), np.concatenate((one, -one))))


def _largest(edges: Floats, times: Floats, values: Ints) -> Floats:
    """The largest value in each bin of a step function that is 0 at first and `values` from `times` on."""
    out = np.zeros(edges.size - 1)
    np.maximum.at(out, _bin(edges, times), values)
    before = np.searchsorted(times, edges[:-1], "right") - 1
    return np.maximum(out, np.where(before >= 0, values[before], 0)) if times.size else out


def _edges(result: Result, bins: int) -> Floats:
    arrival = result.workload.arrival_ticks(result.clock)[~result.rejected] * result.tick
    begin, end = float(arrival.min()), float(arrival.max()) + result.tick
    if result.episodes.end.size:
        end = max(end, float(stay_times(result)[1].max()))
    return np.linspace(begin, end, bins + 1)


def _bin(edges: Floats, times: Floats) -> Ints:
    inside = np.searchsorted(edges, times, "right") - 1
    return np.clip(inside, 0, edges.size - 2)
