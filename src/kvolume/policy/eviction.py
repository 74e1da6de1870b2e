"""Eviction: who leaves when the running requests need more than the budget, and what they keep."""

from __future__ import annotations

from dataclasses import dataclass

from kvolume.policy.contract import Running, State, needed

UNLIMITED = 1 << 62


@dataclass(frozen=True)
class Eviction:
    """Base: one victim after the other until the rest fits. `keep`: generated tokens survive, KV never does.

    `patience` is the number of evicting rounds in a row, with no completion and no arrival between them, after
    which an engine calls the run a livelock; unlimited where some request always gets through.
    """

    keep: bool = True
    name = ""

    @property
    def patience(self) -> int:
        """Evicting rounds without progress before the run counts as a livelock."""
        return UNLIMITED if self.keep else 100_000

    def choose(self, running: list[Running]) -> Running:
        """The next victim; `running` is in order of admission and not empty."""
        raise NotImplementedError

    def victims(self, state: State) -> list[Running]:
        """Those that leave now, in this order. The state's generator may move, nothing else."""
        stay, gone = list(state.running), []
        while needed(stay, state.block) > state.kv_tokens:
            victim = self.choose(stay)
            stay = [r for r in stay if r is not victim]
            gone.append(victim)
        return gone


@dataclass(frozen=True)
class Latest(Eviction):
    """The one admitted last: vLLM's rule."""

    name = "latest"

    @property
    def patience(self) -> int:
        return UNLIMITED  # the oldest admission is never evicted, so it completes

    def choose(self, running: list[Running]) -> Running:
        return running[-1]


@dataclass(frozen=True)
class LargestVolume(Eviction):
    """The one with the largest volume still to come; of equals the one admitted last."""

    name = "largest"

    def choose(self, running: list[Running]) -> Running:
        return max(enumerate(running), key=lambda item: (item[1].twice_volume_left, item[0]))[1]


@dataclass(frozen=True)
class LastInOrder(Eviction):
    """The last in the policy's own order, of equals the one admitted first: vLLM's --scheduling-policy priority."""

    name = "last"

    def choose(self, running: list[Running]) -> Running:
        return max(running, key=lambda r: (r.request.key, r.request.arrival))


@dataclass(frozen=True)
class All(Eviction):
    """Everybody: alpha-protection with clearing (arXiv 2502.07115, sec. 5). It can cycle for ever."""

    keep: bool = False
    name = "all"

    @property
    def patience(self) -> int:
        return UNLIMITED if self.keep else 2  # the second clearing repeats the first

    def victims(self, state: State) -> list[Running]:
        return list(state.running)


@dataclass(frozen=True)
class AtRandom(Eviction):
    """Each with probability beta, in order of admission, again and again until the rest fits (beta-clearing)."""

    keep: bool = False
    beta: float = 0.1
    name = "random"

    @property
    def patience(self) -> int:
        return UNLIMITED if self.keep else 1_000

    def victims(self, state: State) -> list[Running]:
        stay, gone, uniform = list(state.running), [], state.uniform()
        need = sum(r.holds for r in stay)
        while need > state.kv_tokens:
            for r in list(stay):
                if need <= state.kv_tokens:
                    break
                if next(uniform) < self.beta:
                    stay = [x for x in stay if x is not r]
                    gone.append(r)
                    need -= r.holds
        return gone
