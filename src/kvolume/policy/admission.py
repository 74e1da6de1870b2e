"""Admission: may this request start now, beside those that run?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvolume.geometry import whole_blocks
from kvolume.policy.contract import Request, State
from kvolume.policy.rules import protected_limit


class Admission:
    """Base of all admission rules."""

    name = ""

    def admits(self, request: Request, state: State) -> bool:
        """May `request` start in the coming round? Must not change `state`."""
        raise NotImplementedError

    def wait(self, request: Request, state: State) -> int:
        """Rounds before which `request` cannot start unless another leaves; 0 where it may start now."""
        return 0 if self.admits(request, state) else 1


@dataclass(frozen=True)
class LookAhead(Admission):
    """Yes, iff no future round would hold more than the budget (MC-SF, arXiv 2502.07115, eq. 5).

    What is held rises between completions and drops only at them, so only the last round of each request, as
    predicted, needs a test. Exact predictions never lead to an eviction.
    """

    name = "look-ahead"

    def admits(self, request: Request, state: State) -> bool:
        return self._overrun(request, state) is None

    def wait(self, request: Request, state: State) -> int:
        """Each round that it waits, it holds one token less in a round that overruns before its own last one.

        Its own last round, if that overruns, only gets fuller until the next of those still running then completes.
        """
        overrun = self._overrun(request, state)
        if overrun is None:
            return 0
        left, tokens = overrun
        mine = request.guess - request.kept
        if mine <= left:
            others = [r.left for r in state.running]
            longer = [x for x in others if x > left]
            return min(longer) - left + 1 if mine == left and longer and left not in others else 1
        return max(1, min(left, tokens - (state.block - 1)))

    def _overrun(self, request: Request, state: State) -> tuple[int, int] | None:
        batch = [(r.left, r.holds) for r in state.running]
        batch.append((request.guess - request.kept, request.prompt + request.kept + 1))
        return overrun(batch, state.kv_tokens, state.block)


@dataclass(frozen=True)
class Greedy(Admission):
    """Yes, iff it fits in the coming round: the rule of vLLM. Growth is left to evictions."""

    name = "greedy"

    def admits(self, request: Request, state: State) -> bool:
        return state.need + request.prompt + request.kept + 1 <= state.kv_tokens


@dataclass(frozen=True)
class Protected(Admission):
    """Greedy below a fraction 1 - alpha of the budget (alpha-protection, arXiv 2502.07115, sec. 5)."""

    alpha: float = 0.3
    name = "protected"

    def limit(self, kv_tokens: int) -> int:
        """KV tokens up to which requests are admitted."""
        return protected_limit(self.alpha, kv_tokens)

    def admits(self, request: Request, state: State) -> bool:
        return state.need + request.prompt + request.kept + 1 <= self.limit(state.kv_tokens)


@dataclass(frozen=True)
class Peak(Admission):
    """Yes, iff the sum of all predicted peaks s + o stays within the budget: full reservation."""

    name = "peak"

    def admits(self, request: Request, state: State) -> bool:
        reserved = sum(r.request.prompt + r.guess for r in state.running)
        return reserved + request.prompt + request.guess <= state.kv_tokens


def within_budget(batch: Sequence[tuple[int, int]], kv_tokens: int, block: int = 1) -> bool:
    """Does a batch of (rounds left, tokens held in the coming round) stay within the budget to its end?"""
    return overrun(batch, kv_tokens, block) is None


def overrun(batch: Sequence[tuple[int, int]], kv_tokens: int, block: int = 1) -> tuple[int, int] | None:
    """A round in which a batch of (rounds left, tokens held) overruns the budget, and by how many tokens; or None.

    Longest first, the requests seen so far are those that still run in each last round. With blocks the sum is
    first bounded from both sides; only a sum between the bounds is rounded up one by one.
    """
    held = 0
    longest_first = sorted(batch, reverse=True)
    for count, (left, holds) in enumerate(longest_first, 1):
        held += holds
        need = held + count * (left - 1)
        if need + count * (block - 1) > kv_tokens:
            if block > 1:
                need = sum(whole_blocks(h + left - 1, block) for _, h in longest_first[:count])
            if need > kv_tokens:
                return left, need - kv_tokens
    return None
