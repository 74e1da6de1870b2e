"""What is known of an output's length, in this order: the client's hint, the client's finished requests, max_tokens.

Learned online from requests that ended by themselves. One that was cut off at max_tokens is a censored
observation: it adds its tokens but no end, so that the mean is (tokens seen) / (ends seen), the maximum-likelihood
estimate for a geometric length. Aborted ones are left out: they may be disconnections or stop strings.

A hint can be a lie: the share of a client's requests that ran well past their hints is tracked, and where it is
above one half the client's hints are not believed until it falls again. Requests that name no client share one such
number with the first few of every new client, so that a new name for every request buys no trust; who has a history
is judged by that alone. State per client is bounded (LRU).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kvolume.predict import OneBit
from kvolume.vllm.hints import Hint

ENOUGH_OF_A_CLIENT = 8  # natural ends before a client's own mean is used
ENOUGH_OF_ALL = 32  # ... and before the mean of everybody is
MEMORY = 256  # ends that a mean remembers: older ones are scaled down
WINDOW = 2048  # finished requests that class statistics are made from
UNKNOWN = 1024  # before anything is learned, a limit above this says nothing: a chat gets the rest of the context
STRANGER = 4  # hinted requests of a client before it is judged by its own
SHORT = 1.5  # a hint ran short if the output was longer than this times the hint
TRUST_STEP = 1 / 16


@dataclass(slots=True)
class Moments:
    """Running mean of output lengths with censoring, and how far this client's hints can be believed."""

    tokens: float = 0.0
    ends: float = 0.0
    hinted: int = 0  # finished requests that came with a length
    ran_short: float = 0.0  # exponential mean of "this hint ran short"

    def observe(self, tokens: int, ended: bool) -> None:
        """Count a finished request; `ended` is false where it was cut off."""
        if self.ends >= MEMORY:
            self.tokens *= 0.5
            self.ends *= 0.5
        self.tokens += tokens
        self.ends += ended

    def judge(self, short: bool) -> None:
        """Count a finished request that came with a length; `short`: it ran well past it."""
        self.hinted += 1
        self.ran_short += TRUST_STEP * (short - self.ran_short)

    @property
    def mean(self) -> float:
        """Mean output length; only where something ended."""
        return self.tokens / self.ends


@dataclass(slots=True)
class Lengths:
    """The predictor: hints, then what was learned, then max_tokens."""

    trust_hints: bool = True
    keys: int = 4096
    everybody: Moments = field(default_factory=Moments)
    strangers: Moments = field(default_factory=Moments)  # of these, only how far they are believed
    classes: dict[str, Moments] = field(default_factory=lambda: {"short": Moments(), "long": Moments()})
    clients: OrderedDict[str, Moments] = field(default_factory=OrderedDict)
    finished: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def predict(self, hint: Hint, client: str, max_tokens: int) -> tuple[float, str]:
        """Expected output tokens in 1..max_tokens, and where that comes from."""
        most = max(1, max_tokens)
        mine = self.clients.get(client) if client else None
        judged = mine if mine is not None and mine.hinted >= STRANGER else self.strangers
        if self.trust_hints and (hint.length is not None or hint.cls) and judged.ran_short <= 0.5:
            if hint.length is not None:
                return min(max(hint.length, 1.0), float(most)), "hint"
            return min(self._of_class(hint.cls or "long", most), float(most)), "class"
        if mine is not None and mine.ends >= ENOUGH_OF_A_CLIENT:
            return min(max(mine.mean, 1.0), float(most)), "client"
        if self.everybody.ends >= ENOUGH_OF_ALL:
            return min(max(self.everybody.mean, 1.0), float(most)), "everybody"
        return float(min(most, UNKNOWN)), "max_tokens"

    def _of_class(self, cls: str, most: int) -> float:
        """Mean of the class; before there is one, the proxies of the worst case (SVF, arXiv 2606.22327, Thm 3.3)."""
        seen = self.classes[cls]
        if seen.ends >= ENOUGH_OF_A_CLIENT:
            return max(seen.mean, 1.0)
        _, short, long = OneBit("worst-case", most=most).proxies(np.empty(0), np.empty(0))
        return short if cls == "short" else long

    def finish(self, hint: Hint, client: str, prompt: int, tokens: int, told: float, ended: bool) -> None:
        """Learn from a request that ended by itself, or (`ended` false) was cut off after `tokens` output tokens."""
        mine = self._of(client) if client else None
        for moments in (self.everybody, mine, self.classes[hint.cls] if hint.cls else None):
            if moments is not None:
                moments.observe(tokens, ended)
        if hint.length is not None:
            short = tokens > SHORT * hint.length
            if mine is None or mine.hinted < STRANGER:
                self.strangers.judge(short)
            if mine is not None:
                mine.judge(short)
        self.finished.append((told, tokens, prompt))

    def _of(self, client: str) -> Moments:
        found = self.clients.pop(client, None) or Moments()
        self.clients[client] = found  # the last is the most recently used
        if len(self.clients) > self.keys:
            self.clients.popitem(last=False)
        return found

    def history(self) -> npt.NDArray[np.float64]:
        """Recently finished requests. Shape (3, n): predicted, true output tokens, prompt tokens."""
        return np.array(self.finished, np.float64).reshape(-1, 3).T
