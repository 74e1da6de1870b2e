"""How long an iteration takes, and so how recorded seconds and the engine's integer ticks correspond.

`unit`: every round takes the same time; a tick is one round (the model of the papers).
`linear`: an iteration takes base + request * B + kv_token * KV + prefill_token * P + prefill_pair * Q seconds for B
running requests that hold KV tokens, P prompt tokens being prefilled, and Q pairs of such a token and one that it
attends to; a tick is one nanosecond, so that leaping and stepping agree bit for bit.
`roofline`: the same with the numbers made from a model's size and a GPU's data sheet (roofline.py).
A fitted profile: the same with numbers from a real engine (profiles.py), by its name or as profile:NAME or a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kvolume.errors import unknown_name
from kvolume.geometry import Holding, attention_pairs, volume
from kvolume.profiles import COSTS, is_profile, load, named, names
from kvolume.roofline import roofline
from kvolume.text import check_keys, number, parse_spec

NS = 1_000_000_000
DEFAULT_KV_TOKENS = 131_072
LINEAR_DEFAULTS = dict(zip(COSTS, (8e-3, 3e-5, 3e-8, 6e-5, 0.0), strict=True))
PS = 1000  # of a tick of a nanosecond: a pair costs far less than one

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def prefill_ticks(tokens: int, pairs: int, per_token: int, per_pair: int) -> int:
    """Ticks that prefills add to an iteration; `per_pair` in thousandths of a tick, rounded up over all pairs."""
    return per_token * tokens - (-per_pair * pairs // 1000)


class Shares(NamedTuple):
    """Shares of an iteration's base that each unit of a resource carries, for weights of the caps that sum to 1.

    With caps M (KV tokens), S (sequences) and T (tokens of an iteration): w1/M, w2/S, w3/T. An iteration within its
    caps holds at most M, S and T of them, so that its base is at least the sum of its requests' shares.
    """

    kv_token: float
    sequence: float = 0.0
    token: float = 0.0


class Caps(NamedTuple):
    """What an iteration has at most: KV tokens held, requests that run, tokens computed."""

    kv_tokens: float
    sequences: float = inf
    tokens: float = inf

    def shares(self, kv_tokens: float, sequences: float, tokens: float) -> Shares:
        """The shares for these weights of the three caps, which sum to 1."""
        return Shares(kv_tokens / self.kv_tokens, sequences / self.sequences, tokens / self.tokens)

    @property
    def each(self) -> tuple[Shares, Shares, Shares]:
        """The shares with all weight on one of the caps, for each of them."""
        return self.shares(1, 0, 0), self.shares(0, 1, 0), self.shares(0, 0, 1)


@dataclass(frozen=True, slots=True)
class Clock:
    """Integer cost of an iteration in ticks, and the length of a tick in nanoseconds."""

    name: str
    base: int = 1  # ticks per iteration
    request: int = 0  # ticks per running request
    kv_token: int = 0  # ticks per KV token held
    prefill_token: int = 0  # ticks per prompt token prefilled
    prefill_pair: int = 0  # thousandths of a tick per pair of such a token and one that it attends to
    tick_ns: int = 30_000_000
    kv_tokens: int | None = None  # that fit beside the weights, where the clock knows model and GPU

    @property
    def unit(self) -> bool:
        """Does every iteration take exactly one tick?"""
        return self.base == 1 and not any(
            (self.request, self.kv_token, self.prefill_token, self.prefill_pair)
        )

    @property
    def tick_s(self) -> float:
        """Seconds per tick."""
        return self.tick_ns / NS

    def ticks(self, seconds: npt.ArrayLike) -> Ints:
        """Arrival seconds as ticks, rounded up: nothing may start before it arrives."""
        ns = np.rint(np.asarray(seconds, np.float64) * NS).astype(np.int64)
        return -(-ns // self.tick_ns)

    def iteration(self, running: int, kv_tokens: int, prefill_tokens: int, pairs: int = 0) -> int:
        """Ticks of one iteration; `pairs` as `attention_pairs` counts them."""
        prefill = prefill_ticks(prefill_tokens, pairs, self.prefill_token, self.prefill_pair)
        return self.base + self.request * running + self.kv_token * kv_tokens + prefill

    def prefill(self, s: Any) -> Any:
        """Ticks that prefilling s tokens takes at least, however it is cut into chunks; not rounded."""
        return self.prefill_token * (s * 1.0) + self.prefill_pair / PS * (attention_pairs(0, s) * 1.0)

    def work(self, s: Any, o: Any, shares: Shares, holding: Holding = "unit") -> Any:
        """Ticks of a full machine that a request takes: its share of every iteration it runs in.

        An iteration lasts at least the sum over its requests of their shares of the base, of request and kv_token * kv
        each, and of its prefills. In the unit model with shares of KV alone: v / M. Offered load is the sum of
        these over the time in which the requests arrive.
        """
        v = volume(s, o, holding) * 1.0
        each = self.request + self.base * (shares.sequence + shares.token)
        return (self.base * shares.kv_token + self.kv_token) * v + each * o + self.prefill_work(s, shares)

    def prefill_work(self, s: Any, shares: Shares) -> Any:
        """The prompt's part of it: its ticks, and its share of the token budget beside that of its first token."""
        return self.prefill(s) + self.base * shares.token * np.maximum(s - 1, 0)


UNIT = Clock("unit")
KINDS = ("unit", "linear", "roofline")


def parse_clock(text: str) -> Clock:
    """The clock that a string names: `unit:seconds=0.03`, `linear:base=8e-3,...` (seconds), `roofline:model=..,gpu=..`,
    or a fitted profile: NAME, `profile:NAME`, `profile:PATH` or a path that ends in .json.

    Raises UnknownNameError or ParameterError, InputError for a profile that cannot be used.
    """
    if is_profile(text):
        return profiled(text, text.removeprefix("profile:"))
    name, values = parse_spec(text, "clock")
    if name == "unit":
        check_keys(values, {"seconds"}, "clock unit")
        seconds = number(values.get("seconds", 0.03), "seconds", "clock unit", low=1e-9, high=3600)
        return Clock(text, tick_ns=round(seconds * NS))
    if name == "linear":
        check_keys(values, LINEAR_DEFAULTS, "clock linear")
        given = LINEAR_DEFAULTS if not values else dict.fromkeys(LINEAR_DEFAULTS, 0.0) | values
        return linear(text, {k: number(v, k, "clock linear", low=0, high=3600) for k, v in given.items()})
    if name == "roofline":
        *seconds_of, kv_tokens = roofline(values)
        return linear(text, dict(zip(COSTS, seconds_of, strict=True)), kv_tokens)
    if named(name):
        return profiled(text, name)
    raise unknown_name("clock", name, (*KINDS, *names()))


def linear(name: str, seconds: Mapping[str, float], kv_tokens: int | None = None) -> Clock:
    """The clock in nanoseconds with these costs in seconds (keys as in LINEAR_DEFAULTS)."""
    costs = {key: round(value * NS * (PS if key == "prefill_pair" else 1)) for key, value in seconds.items()}
    if costs["base"] < 1:
        number(seconds["base"], "base", "clock linear", low=1e-9)
    return Clock(name, tick_ns=1, kv_tokens=kv_tokens, **costs)


def profiled(text: str, name: str) -> Clock:
    """The clock of a fitted profile."""
    profile = load(name)
    return linear(text, profile.seconds, profile.kv_tokens)


def budget(kv_tokens: int | None, clock: Clock) -> int:
    """The budget given; else the KV tokens of the clock's GPU, or 131,072 where it knows of none."""
    return kv_tokens if kv_tokens is not None else clock.kv_tokens or DEFAULT_KV_TOKENS
