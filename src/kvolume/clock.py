"""How long an iteration takes, and so how recorded seconds and the engine's integer ticks correspond.

`unit`: every round takes the same time; a tick is one round (the model of the papers).
`linear`: an iteration takes base + request * B + kv_token * KV + prefill_token * P seconds for B running
requests that hold KV tokens and P prompt tokens being prefilled; a tick is one nanosecond, so that leaping and
stepping agree bit for bit.
`roofline`: the same with the four numbers made from a model's size and a GPU's data sheet (roofline.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.errors import unknown_name
from kvolume.geometry import Holding, volume
from kvolume.roofline import roofline
from kvolume.text import check_keys, number, parse_spec

NS = 1_000_000_000
DEFAULT_KV_TOKENS = 131_072
LINEAR_DEFAULTS = {"base": 8e-3, "request": 3e-5, "kv_token": 3e-8, "prefill_token": 6e-5}

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clock:
    """Integer cost of an iteration in ticks, and the length of a tick in nanoseconds."""

    name: str
    base: int = 1  # ticks per iteration
    request: int = 0  # ticks per running request
    kv_token: int = 0  # ticks per KV token held
    prefill_token: int = 0  # ticks per prompt token prefilled
    tick_ns: int = 30_000_000
    kv_tokens: int | None = None  # that fit beside the weights, where the clock knows model and GPU

    @property
    def unit(self) -> bool:
        """Does every iteration take exactly one tick?"""
        return self.base == 1 and not (self.request or self.kv_token or self.prefill_token)

    @property
    def tick_s(self) -> float:
        """Seconds per tick."""
        return self.tick_ns / NS

    def ticks(self, seconds: npt.ArrayLike) -> Ints:
        """Arrival seconds as ticks, rounded up: nothing may start before it arrives."""
        ns = np.rint(np.asarray(seconds, np.float64) * NS).astype(np.int64)
        return -(-ns // self.tick_ns)

    def iteration(self, running: int, kv_tokens: int, prefill_tokens: int) -> int:
        """Ticks of one iteration."""
        return self.base + self.request * running + self.kv_token * kv_tokens + self.prefill_token * prefill_tokens

    def work(self, s: Any, o: Any, kv_tokens: int, holding: Holding = "unit") -> Any:
        """Ticks of a full machine that a request takes: its share of every iteration it runs in.

        A batch never holds more than `kv_tokens`, so an iteration lasts at least the sum over its requests of
        base * kv / kv_tokens + request + kv_token * kv + prefill_token * prefill. In the unit model: v / M.
        Offered load is the sum of these over the time in which the requests arrive.
        """
        v = volume(s, o, holding) * 1.0
        return (self.base / kv_tokens + self.kv_token) * v + self.request * o + self.prefill_token * s


UNIT = Clock("unit")


def parse_clock(text: str) -> Clock:
    """The clock that a string names: `unit:seconds=0.03`, `linear:base=8e-3,...` (seconds), `roofline:model=..,gpu=..`.

    Raises UnknownNameError or ParameterError.
    """
    name, values = parse_spec(text, "clock")
    if name == "unit":
        check_keys(values, {"seconds"}, "clock unit")
        seconds = number(values.get("seconds", 0.03), "seconds", "clock unit", low=1e-9, high=3600)
        return Clock(text, tick_ns=round(seconds * NS))
    if name == "linear":
        check_keys(values, LINEAR_DEFAULTS, "clock linear")
        given = LINEAR_DEFAULTS if not values else dict.fromkeys(LINEAR_DEFAULTS, 0.0) | values
        costs = {k: round(number(v, k, "clock linear", low=0, high=3600) * NS) for k, v in given.items()}
        if costs["base"] < 1:
            number(given["base"], "base", "clock linear", low=1e-9)
        return Clock(text, tick_ns=1, **costs)
    if name == "roofline":
        *seconds_of, kv_tokens = roofline(values)
        base, request, kv_token, prefill_token = (round(x * NS) for x in seconds_of)
        return Clock(text, base, request, kv_token, prefill_token, tick_ns=1, kv_tokens=kv_tokens)
    raise unknown_name("clock", name, ("unit", "linear", "roofline"))


def budget(kv_tokens: int | None, clock: Clock) -> int:
    """The budget given; else the KV tokens of the clock's GPU, or 131,072 where it knows of none."""
    return kv_tokens if kv_tokens is not None else clock.kv_tokens or DEFAULT_KV_TOKENS
