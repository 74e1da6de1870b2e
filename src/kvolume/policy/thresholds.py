"""Types, segments and thresholds of WAIT and Nested WAIT, made from a workload (wait.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvolume.geometry import volume
from kvolume.policy.contract import Request, Setting
from kvolume.policy.fluid import chain, filling, nested_thresholds, thresholds

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
ESTIMATED_BLOCK = 1000  # arrivals from which rates are estimated, unless told otherwise


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of requests, and the threshold of each during each block of arrivals."""

    of: Ints  # type of each request by id; all 0 with segments
    bounds: tuple[int, ...]  # output tokens at which segments end; empty with types
    n: Ints  # shape (blocks, groups)
    block: int  # arrivals in a block

    def at(self, seen: int) -> list[int]:
        """The thresholds once request `seen` has arrived."""
        row: list[int] = self.n[min(max(seen, 0) // self.block, len(self.n) - 1)].tolist()
        return row

    def entry(self, request: Request) -> int:
        """The group in whose queue a request waits."""
        return int(self.of[request.id])

    def segment(self, generated: int) -> tuple[int, bool]:
        """The segment in which the next token is made, and whether it would be the segment's first, at its entry."""
        k = int(np.searchsorted(self.bounds, generated, "right"))
        k = min(k, len(self.bounds) - 1)
        return k, k > 0 and generated == self.bounds[k - 1]


def types_of(setting: Setting, most: int, known: bool, block: int) -> Groups:
    """WAIT's: a type for each (prompt, output), or `most` classes of output where there are more of them."""
    s, o = setting.requests.prompt, setting.requests.predicted
    pairs, of = np.unique(np.stack((s, o)), axis=1, return_inverse=True)
    if pairs.shape[1] > most:
        of = np.searchsorted(_bounds(o, most), o, "left")
    of = np.asarray(of, np.int64).ravel()
    groups = int(of.max()) + 1
    clock = setting.clock
    volumes = _means(volume(s, o), of, groups)
    costs = _means(clock.kv_token * volume(s, o) + clock.request * o + clock.prefill(s), of, groups)

    def of_block(rows: Ints, span: float) -> tuple[int, ...]:
        counts = np.bincount(of[rows], minlength=groups)
        n = thresholds((counts / span).tolist(), costs.tolist(), clock.base) if span else None
        if n is None or np.dot(n, volumes) > setting.kv_tokens:
            n = filling(counts.tolist(), volumes.tolist(), setting.kv_tokens)
        return n

    n, block = _blocks(setting, known, block, groups, of_block)
    return Groups(of, (), n, block)


def segments_of(setting: Setting, most: int, known: bool, block: int, cap: int, widest: bool) -> Groups:
    """Nested WAIT's: segments that end at the lengths there are, or at `most` quantiles of them."""
    s, o, clock = setting.requests.prompt, np.asarray(setting.requests.predicted), setting.clock
    bounds = _bounds(o, most)
    if cap:
        bounds = np.unique(np.ceil(float(o.max()) * np.arange(1, most + 1) / most).astype(np.int64))
    prompt = float(s.max() if widest else s.mean())
    before = np.concatenate(([0], bounds[:-1]))
    length = bounds - before  # rounds of each segment
    tokens = length * (prompt + (before + 1 + bounds) / 2)  # held by one request in each of its rounds
    costs = clock.kv_token * tokens + clock.request * length
    costs[0] += clock.prefill(prompt)

    def of_block(rows: Ints, span: float) -> tuple[int, ...]:
        reach = np.array([(o[rows] > b).sum() for b in before], np.float64)
        onward = np.clip(reach[1:] / np.maximum(reach[:-1], 1), 0, 0.99).tolist()
        if cap:
            part = np.concatenate(([1.0], np.cumprod([min(p + 0.05, 0.99) for p in onward])))
            return tuple(max(1, round(x)) for x in part * cap / np.dot(length, part))
        n = None
        if span:
            n = nested_thresholds(len(rows) / span, onward, costs.tolist(), clock.base, setting.kv_tokens)
        if n is None or np.dot(n, tokens) > setting.kv_tokens:
            shares = [1.0, *np.cumprod(onward).tolist()]
            n = filling(shares, tokens.tolist(), setting.kv_tokens)
            n = chain(n[0], onward) or n
        return n

    n, block = _blocks(setting, known, block, len(bounds), of_block)
    return Groups(np.zeros(len(o), np.int64), tuple(bounds.tolist()), n, block)


def _bounds(o: npt.NDArray[np.number], most: int) -> Ints:
    """The outputs there are, or that many quantiles of them; the last is the longest."""
    lengths = np.unique(np.ceil(o).astype(np.int64))
    if lengths.size > most:
        lengths = np.unique(np.quantile(o, np.arange(1, most + 1) / most, method="higher").astype(np.int64))
        lengths[-1] = max(int(lengths[-1]), int(np.ceil(o.max())))
    return lengths


def _means(values: npt.NDArray[np.number], of: Ints, groups: int) -> Floats:
    return np.bincount(of, values, groups) / np.maximum(np.bincount(of, minlength=groups), 1)


def _blocks(
    setting: Setting, known: bool, block: int, groups: int, of_block: Callable[[Ints, float], tuple[int, ...]]
) -> tuple[Ints, int]:
    """Thresholds block by block: of the block itself where rates are known, else of the one before (first: 1)."""
    arrival = setting.requests.arrival
    block = block or (arrival.size if known else ESTIMATED_BLOCK)

    def spans() -> Iterator[tuple[Ints, float]]:
        for begin in range(0, arrival.size, block):
            rows = np.arange(begin, min(begin + block, arrival.size))
            yield rows, float(arrival[min(begin + block, arrival.size - 1)] - arrival[begin])

    n = [of_block(rows, span) for rows, span in spans()]
    return np.array(n if known else [(1,) * groups, *n[:-1]], np.int64), block
