"""The policy contract: what a policy sees, and what it answers.

A policy is three small answers, each an object of its own and pure (state in, answer out; no clock, no I/O,
randomness only through the state's generator):

  order      who is next?                         a static key, or lanes over one queue
  admission  may the head start now?              greedy, look-ahead, peak reservation, protected fraction
  eviction   who leaves when memory runs out?     latest, largest remaining volume, all, at random

`Policy` (policy.py) turns the three into the one general method, `plan(state) -> Plan`, which an engine drives;
an algorithm that needs more implements `plan` itself. What it must remember from round to round (a phase, a stage)
travels through the engine: `Plan.memory` becomes the next `State.memory`. No policy ever sees a true output length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kvolume.clock import Caps, Clock
from kvolume.geometry import twice_volume, volume, whole_blocks
from kvolume.policy.rules import first_random, next_random


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a policy knows it. Lengths in tokens, arrival in ticks of the engine's clock."""

    id: int  # rank in order of arrival: ties end here
    arrival: int
    prompt: int
    predicted: float  # the output length that the key is made from; never changes
    guess: int  # the output length that admission reckons with; raised when outgrown
    key: float = 0  # the order's key, made when it first joined the queue
    kept: int = 0  # output tokens kept from earlier stays in the cache
    admissions: int = 0  # how often it was started before


@dataclass(slots=True)
class Running:
    """A request in the KV cache, as it stands at the beginning of a round."""

    request: Request
    generated: int  # output tokens so far, kept ones included
    guess: int

    @property
    def holds(self) -> int:
        """KV tokens that it needs in the coming round."""
        return self.request.prompt + self.generated + 1

    @property
    def left(self) -> int:
        """Rounds that it is expected to stay, the coming one included."""
        return self.guess - self.generated

    @property
    def twice_volume_left(self) -> int:
        """Twice the volume that it is still expected to take."""
        return int(twice_volume(self.request.prompt + self.generated, self.left))

    def evicted(self, keep: bool) -> Request:
        """The request as it waits once it has left the cache."""
        kept = self.generated if keep else 0
        return replace(self.request, kept=kept, guess=self.guess, admissions=self.request.admissions + 1)


@dataclass(slots=True)
class State:
    """All that a policy may see, at the beginning of a round."""

    now: int  # the round about to run
    kv_tokens: int  # the budget M
    waiting: list[Request] = field(default_factory=list)  # in order of arrival
    running: list[Running] = field(default_factory=list)  # in order of admission
    admitted_volume: float = 0.0  # V: all volume admitted since the queue was last empty
    lane_volume: float = 0.0  # A: the part of it that went through the arrival lane
    random: int = first_random(0)
    block: int = 1  # KV tokens are handed out in blocks of this many; 1 in the papers' model
    memory: object | None = None  # what the policy's last plan left for it; None before the first
    closed: bool = False  # nothing more arrives, and the policy would wait for ever: an engine says it only then

    @property
    def need(self) -> int:
        """KV tokens that the running requests need in the coming round."""
        return needed(self.running, self.block)

    def start(self, start: Start) -> None:
        """Move a waiting request to the running ones and charge its volume, the first time only."""
        request = start.request
        self.waiting.remove(request)
        self.running.append(Running(request, request.kept, request.guess))
        self.charge(start)
        if not self.waiting:
            self.admitted_volume = self.lane_volume = 0.0

    def charge(self, start: Start) -> None:
        """Count the volume of a start, the first time that its request is admitted."""
        if start.request.admissions == 0:
            charge = float(volume(start.request.prompt, start.request.predicted))
            self.admitted_volume += charge
            self.lane_volume += charge if start.lane else 0.0

    def uniform(self) -> Iterator[float]:
        """An endless stream of random numbers in ]0, 1[; the state's generator moves with it."""
        while True:
            self.random = next_random(self.random)
            yield self.random / 2_147_483_647

    def copy(self) -> State:
        """A copy whose queues can be changed without touching this one."""
        return State(self.now, self.kv_tokens, list(self.waiting), list(self.running),
                     self.admitted_volume, self.lane_volume, self.random, self.block, self.memory,
                     self.closed)  # fmt: skip


def needed(running: Iterable[Running], block: int = 1) -> int:
    """KV tokens that these requests need in the coming round, each in whole blocks."""
    if block == 1:
        return sum(r.holds for r in running)
    return sum(whole_blocks(r.holds, block) for r in running)


class Start(NamedTuple):
    """Start this waiting request now; `lane` says that it goes through the arrival lane."""

    request: Request
    lane: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do in the coming round: evictions, then starts; who is paused keeps its KV and makes no token.

    A request may be evicted and started again in one round; `Running.evicted` is what it then starts from.
    """

    starts: tuple[Start, ...] = ()
    pauses: tuple[Running, ...] = ()
    evictions: tuple[Running, ...] = ()
    keep: bool = True  # evicted requests keep their generated tokens
    random: int | None = None  # the generator's state after the plan
    wake_up: int | None = None  # a round that the policy waits for: until then rounds pass even if nobody runs
    memory: object | None = None  # an immutable value, for the next State.memory; None: as before


class Planner(Protocol):
    """The one general form of a policy: everything that an engine needs from it."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def plan(self, state: State) -> Plan:
        """What to do in the coming round. Must not change `state`."""
        ...

    # Optional, looked up by name: `label` (the name in reports), `patience` (as Eviction's), `knowledge` (predict:
    # what it is told of lengths), `fit(setting) -> Planner` (thresholds and the like, made before the first round).


class Setting(NamedTuple):
    """What a policy may be fitted to: the requests as it will know them, the budget and the clock."""

    requests: Columns
    kv_tokens: int
    clock: Clock


class Columns(NamedTuple):
    """Requests as arrays with the names that a Request has, so that one formula makes one key or all keys."""

    id: npt.NDArray[np.int64]
    arrival: npt.NDArray[np.int64]
    prompt: npt.NDArray[np.int64]
    predicted: npt.NDArray[Any]


class Scale(NamedTuple):
    """What an order may know of its setting, to put its parameters into tokens and ticks."""

    kv_tokens: int
    round_ticks: float  # of an iteration with a full cache
    median_volume: float
    mean_output: float
    caps: Caps  # of an iteration
    clock: Clock  # what an iteration costs
