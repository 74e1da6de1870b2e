"""Smallest machine time first: SVF where more than memory can run out, in seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kvolume.policy.contract import Scale
from kvolume.policy.order import Order


@dataclass(frozen=True)
class MachineTime(Order):
    """Smallest share of the machine first, in time: the SVF of KV cache, running requests and tokens of a step.

    An iteration costs a base, and more for each request, KV token and prefilled token in it (the clock). A request
    pays for its own, and of the base of each iteration that it runs in the part of whichever cap it takes most of:

        z = request o + kv_token v + prefill(s) + base max(v/M, o/S, (s + o - 1)/T)

    with caps of M KV tokens, S requests and T tokens (Clock.work; dominant shares as in fair queueing). Where memory
    is all that can run out and a round takes one unit this is v/M, and the order SVF; where slots are, it is
    the shortest output first; where prefills take all the time, the shortest prompt first. The z of the machine's
    scarce resource is also what the lower bound of the serving engine is made of (bound/serving.py).  (ours)
    """

    scale: Scale | None = None

    def fit(self, scale: Scale) -> Order:
        return replace(self, scale=scale)

    def key(self, request: Any) -> Any:
        assert self.scale is not None, "MachineTime is used before fit()"
        kv, slots, tokens = (
            self.scale.clock.work(request.prompt, request.predicted, shares) for shares in self.scale.caps.each
        )
        return np.maximum(np.maximum(kv, slots), tokens)
