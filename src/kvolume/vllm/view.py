"""A vLLM request as a policy knows it, and what the plug-in remembers of it until it is gone.

The papers' request holds s + u tokens while it makes its u-th output token; vLLM's holds s + u - 1, because the last
sampled token gets no slot. So a vLLM request of prompt s is the papers' request of prompt s - 1, with the same
key objects: volume(s - 1, o) = s*o + o(o-1)/2 is exactly what it takes in vLLM (`geometry.volume(s, o, "engine")`),
and s - 1 + o is its peak. Prefix blocks shared with running requests are left out too: they are there already. A
cached block that nobody uses counts in full: it saves compute, not memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kvolume.clock import UNIT, Caps, Clock
from kvolume.geometry import volume
from kvolume.policy import Order, Policy, Request, Running, Scale
from kvolume.policy.rules import raised
from kvolume.predict import OneBit
from kvolume.vllm import hints
from kvolume.vllm.guard import Guard
from kvolume.vllm.lengths import Lengths

FIRST_FIT, FIT_AGAIN = 64, 4  # finished requests before the first fit of an order, and the factor to the next
ROUND_TICKS, MEDIAN_VOLUME, MEAN_OUTPUT = 3e7, 4e4, 200.0  # before anything has finished


@dataclass(slots=True, eq=False)
class Ticket:
    """What the plug-in knows of a request from its arrival to its end."""

    request: Any  # vLLM's
    view: Request  # the policy's
    hint: hints.Hint
    client: str
    source: str  # where the predicted length comes from
    told: float  # predicted output tokens, before `knowledge` has had its say
    most: int  # output tokens that it can make at most
    guess: int  # what admission reckons with now
    key: float
    faulty: bool = False  # the order had no key for it: served by arrival
    waiting: bool = False
    ahead: bool = False  # among the preempted ones that go first
    yielded: bool = False  # its slice has just ended
    version: int = 0  # of its entry in the queue: older entries are stale
    major: int = 0  # the client's priority, where vLLM schedules by priority
    preemptions: int = 0
    slices: int = 0  # how often it yielded, and so its phase
    lane: bool = False  # admitted through the arrival lane
    started: int = -1  # rank among admissions
    charged: tuple[float, float] = (0.0, 0.0)  # to the two counters of the share, at its last start

    def running(self, generated: int, lag: int = 0) -> Running:
        """As a running request that has made so many tokens; a guess that is used up is raised by the common rule.

        `lag`: steps that pass between its last token and the engine's knowing of it.
        """
        while self.guess <= generated:
            self.guess = raised(self.guess, self.most)
        return Running(self.view, generated, self.guess + lag)


@dataclass(slots=True)
class Book:
    """Makes and keeps the tickets; fits the order and the knowledge to what has finished so far."""

    policy: Policy
    lengths: Lengths
    guard: Guard
    kv_tokens: int
    clock: Callable[[], int]  # ticks
    shared: Callable[[Any], int] = lambda request: 0  # prefix tokens that running requests hold already
    by_priority: bool = False
    longest: int = 4096  # tokens of the longest sequence that the model takes
    round_ticks: float = ROUND_TICKS
    caps: Caps | None = None  # of a step; None: KV tokens alone
    costs: Clock = UNIT  # what a step costs, for orders that weigh memory, slots and prefill
    tickets: dict[str, Ticket] = field(default_factory=dict)
    order: Order = field(init=False)
    learned: Any = field(init=False)
    last_arrival: int = 0
    arrived: int = 0
    ended: int = 0
    next_fit: int = FIRST_FIT

    def __post_init__(self) -> None:
        knowledge = self.policy.knowledge
        if isinstance(knowledge, OneBit) and knowledge.in_sample:  # nothing seen yet: the worst case, Thm 3.3
            self.learned = OneBit("worst-case", most=self.longest).learn(np.empty(0), np.empty(0))
        else:
            self.learned = knowledge.learn(np.empty(0), np.empty(0))
        self.order = self.policy.order.fit(self._scale(MEDIAN_VOLUME, MEAN_OUTPUT))

    def _scale(self, median_volume: float, mean_output: float) -> Scale:
        caps = self.caps or Caps(self.kv_tokens)
        return Scale(self.kv_tokens, self.round_ticks, median_volume, mean_output, caps, self.costs)

    def ticket(self, request: Any) -> Ticket:
        """The ticket of a request, made when it is first seen. Never raises for anything that a client sent."""
        known = self.tickets.get(request.request_id)
        if known is not None and known.request is request:
            return known
        hint, client = hints.NONE, ""
        with self.guard.against("reading a hint", "no hint"):
            hint, client = hints.read(request), hints.client_of(request)
        if hint.bad:
            self.guard.faults["hint"] += 1
        prompt, most = 1, self.longest
        with self.guard.against("reading a request's lengths", "the longest"):
            prompt = int(request.num_prompt_tokens)
            most = max(1, min(int(request.max_tokens), self.longest - prompt))
        told, source = float(most), "max_tokens"
        with self.guard.against("predicting a length", "max_tokens"):
            told, source = self.lengths.predict(hint, client, most)
        shared = 0
        with self.guard.against("looking up shared blocks", "whole prompts"):
            shared = self.shared(request)
        self.last_arrival = max(self.last_arrival, self.clock())
        view = Request(self.arrived, self.last_arrival, max(0, prompt - 1 - shared), told, most)
        self.arrived += 1
        new = Ticket(request, view, hint, client, source, told, most, most, 0.0)
        new.major = int(getattr(request, "priority", 0)) if self.by_priority else 0
        self._key(new)
        self.tickets[request.request_id] = new
        return new

    def _key(self, ticket: Ticket) -> None:
        """Tell the policy the length, and let the order make the key."""
        ticket.faulty = True
        with self.guard.against("the policy's order", "arrival order"):
            predicted = self.policy.knowledge.told(np.array([ticket.told]), self.learned)[0].item()
            predicted = int(predicted) if predicted == int(predicted) else predicted
            guess = min(max(1, math.ceil(predicted)), ticket.most)
            view = replace(ticket.view, predicted=predicted, guess=max(guess, ticket.view.kept + 1))
            key = self.order.key(view)
            if key != key:
                raise ValueError(f"the key of request {ticket.request.request_id} is nan")
            ticket.key = key.item() if isinstance(key, np.generic) else key
            ticket.view = replace(view, key=ticket.key)
            ticket.guess = view.guess
            ticket.faulty = False

    def preempted(self, ticket: Ticket) -> None:
        """It goes back to the queue with its tokens, its key and its (perhaps raised) guess."""
        kept = int(ticket.request.num_output_tokens)
        ticket.running(kept)
        ticket.view = replace(ticket.view, kept=kept, guess=ticket.guess, admissions=ticket.view.admissions + 1)

    def finish(self, request: Any, ended: bool | None) -> Ticket | None:
        """Forget a request and learn from it: `ended` by itself, or was cut off; None where that is not known."""
        ticket = self.tickets.get(request.request_id)
        if ticket is None or ticket.request is not request:
            return None
        del self.tickets[request.request_id]
        if ended is not None:
            tokens = max(1, int(request.num_output_tokens))
            prompt = int(request.num_prompt_tokens)
            self.lengths.finish(ticket.hint, ticket.client, prompt, tokens, ticket.told, ended)
            self.ended += 1
        return ticket

    def fit(self) -> bool:
        """Now and then: fit order and knowledge to what has finished, and make all keys anew. True if it did."""
        if self.ended < self.next_fit:
            return False
        self.next_fit = self.ended * FIT_AGAIN
        predicted, output, prompt = self.lengths.history()
        self.learned = self.policy.knowledge.learn(predicted, output)
        volumes = volume(np.maximum(prompt - 1, 0), output)
        self.order = self.policy.order.fit(self._scale(float(np.median(volumes)), float(output.mean())))
        for ticket in self.tickets.values():
            if ticket.waiting:
                if ticket.source not in ("hint", "class"):  # what has been learned since it came
                    ticket.told, ticket.source = self.lengths.predict(ticket.hint, ticket.client, ticket.most)
                self._key(ticket)
        return True
