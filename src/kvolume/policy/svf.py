"""Smallest Volume First, and two ways to keep it from starving anybody.

A request occupies an area in time x memory: s + u tokens while it makes its u-th output token, in all
v = s*o + o(o+1)/2. Serving small areas first is near-optimal. With all requests present at time 0 and every peak
s + o at most alpha * M (SVF, arXiv 2606.22327, Theorem 3.2; SVF admits in order of v, by look-ahead):

    TEL(SVF) <= (1 + 2/(1 - alpha)) * OPT                                  3 as alpha -> 0, 5 at alpha = 1/2

because a request waits for at most the volume ahead of it: (1 - alpha) * M * x_j <= 2 * sum of v_i before j.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kvolume.geometry import volume
from kvolume.policy.contract import Scale, Start, State
from kvolume.policy.order import Order
from kvolume.policy.rules import takes_oldest


@dataclass(frozen=True)
class Volume(Order):
    """Smallest predicted KV volume first (SVF, arXiv 2606.22327)."""

    def key(self, request: Any) -> Any:
        return volume(request.prompt, request.predicted)


@dataclass(frozen=True)
class AgedVolume(Order):
    """Volume with ageing: key a + kappa * f(v), f increasing, so keys stay static and the queue stays a heap.

    Everybody ages at the same speed, so request i can be overtaken only by requests that arrive within
    kappa * (f(v_i) - f(0)) after it. `log`: f = log(1 + v / median v), kappa in mean outputs. `linear`: f = v/M
    per round, written v + phi * M * a with phi = 1/kappa.
    """

    shape: str = "log"
    kappa: float = 3.0
    phi: float = 0.01
    scale: Scale | None = None
    in_sample = True

    def fit(self, scale: Scale) -> Order:
        return replace(self, scale=scale)

    def key(self, request: Any) -> Any:
        assert self.scale is not None, "AgedVolume is used before fit()"
        age = request.arrival / self.scale.round_ticks
        v = volume(request.prompt, request.predicted)
        if self.shape == "linear":
            return v + self.phi * self.scale.kv_tokens * age
        return age + self.kappa * self.scale.mean_output * np.log1p(v / self.scale.median_volume)


@dataclass(frozen=True)
class ArrivalShare(Order):
    """Two lanes over one queue: a share of the admitted volume goes to the oldest, the rest in the given order.

    share = 0 is the order itself, share = 1 is first come, first served. With V all volume admitted since the
    queue was last empty and A the lane's part, the oldest is next iff A + v <= share * (V + v). Then
      1. all at time 0, alpha < 1, volume order:  TEL <= (1 + 2/((1 - alpha)(1 - share))) * OPT;
      2. any arrivals: between j's arrival and its start at most (Q_j + max(v_j, e_j))/share volume is admitted, e_j
         the largest older one that is evicted while j waits (0 with look-ahead and exact lengths), with Q_j
         the volume waiting when it arrives.                                                      (ours)
    """

    order: Order
    share: float = 0.1  # a field here, a constant 0 in the base

    @property
    def in_sample(self) -> bool:  # type: ignore[override]
        return self.order.in_sample

    def fit(self, scale: Scale) -> Order:
        return replace(self, order=self.order.fit(scale))

    def key(self, request: Any) -> Any:
        return self.order.key(request)

    def queue(self, state: State) -> Iterator[Start]:
        oldest = min(state.waiting, key=lambda r: (r.arrival, r.id))
        v = float(volume(oldest.prompt, oldest.predicted))
        lane = takes_oldest(v, state.lane_volume, state.admitted_volume, self.share)
        if lane:
            yield Start(oldest, lane=True)
        yield from (s for s in super().queue(state) if not (lane and s.request is oldest))
