"""An adversary: searches for instances on which a policy is far from the optimum, and holds them against its guarantee.

On a handful of requests the optimum is exact (reproduce/exact.py); the traps are larger and are compared with the best
schedule known, which can only understate the ratio. So a ratio above a guarantee refutes it, or the code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from kvolume.bound import guarantee, lower_bound
from kvolume.engine import simulate
from kvolume.errors import PolicyError
from kvolume.geometry import peak
from kvolume.policy import Planner, parse
from kvolume.reproduce.best_known import by_policy
from kvolume.reproduce.case import Case, Setting, shrunk
from kvolume.reproduce.exact import is_feasible, tiny_optimum
from kvolume.reproduce.traps import Trap, traps
from kvolume.text import number, parse_spec
from kvolume.workload import Workload

STEPS = 60  # of local search after each random start
MOST_NODES = 300_000  # of branch and bound for one instance; beyond, the instance is passed over
EQUAL = ("gsa", "gsa-spec", "gba", "gba-d", "sps", "a-max", "a-min")  # defined for one prompt length only
INTERVALS = ("a-max", "a-min")
SLOW, MOST_SLOW = ("sorted-f", "sorted-lp", "lp-swap"), 150  # run in plain Python; requests of a trap for them
SLACK = 1e-9
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Find:
    """The worst instance found in one setting."""

    setting: str
    origin: str  # local search, or a trap
    total: float | None  # sum of latencies; None: the policy never finishes
    best: int  # of the optimum where `exact`, else of the best schedule known
    exact: bool
    bound: float  # the lower bound on it
    guarantee: float | None  # on this very instance
    sentence: str
    requests: int
    burst: bool
    alpha: float  # the largest peak over the budget
    case: Case | None  # of a trap, where it is small enough to be kept

    @property
    def ratio(self) -> float:
        """Sum of latencies over that of the best schedule known; the true ratio is no smaller."""
        return float("inf") if self.total is None else self.total / self.best

    def to_dict(self) -> dict[str, Any]:
        """Flat, for JSON; infinite ratios (the policy never finishes) are null."""
        return {
            "setting": self.setting, "origin": self.origin, "requests": self.requests,
            "ratio": None if self.total is None else self.ratio, "total_latency": self.total, "best": self.best,
            "optimum": self.exact, "bound": self.bound, "guarantee": self.guarantee, "sentence": self.sentence,
            "instance": None if self.case is None else self.case.to_dict(),
        }  # fmt: skip


def settings(policy: str) -> tuple[Setting, ...]:
    """What to try against a policy: bursts with small and with large requests, and arrivals over time."""
    name = parse_spec(policy, "policy")[0]
    base = Setting("burst, any peaks", equal_prompts=name in EQUAL, spread=3 if name in INTERVALS else 1)
    found = [
        replace(base, name="burst, peaks <= M/4", alpha=0.25, longest=6),
        replace(base, name="burst, peaks <= M/2", alpha=0.5),
        base,
        replace(base, name="arrivals over time", burst=False),
    ]
    if name not in EQUAL:
        found.insert(3, Setting("burst, equal prompts, peaks <= M/2", 0.5, equal_prompts=True))
    return tuple(found)


def attack(policy: str, *, trials: int = 200, seed: int = 0, progress: Progress | None = None) -> list[Find]:
    """The worst instance found in each setting, and the worst trap; `trials` random starts in each setting.

    Raises PolicyError, with the instance, where a ratio is above the guarantee there.
    """
    trials = int(number(trials, "trials", "the adversary", low=1, high=1_000_000, integer=True))
    planner, finds = parse(policy), []
    all_settings = settings(policy)
    for k, setting in enumerate(all_settings):
        rng = np.random.default_rng([seed, k])
        worst: tuple[float, Case] | None = None
        for trial in range(trials):
            if progress is not None:
                progress(f"{policy}: {setting.name}", trial, trials)
            found = _climb(planner, setting, rng)
            if found is not None and (worst is None or found[0] > worst[0]):
                worst = found
        if worst is not None:
            case = _shrink(planner, setting, *worst)
            finds.append(checked(policy, examine(policy, case, setting.name)))
    known = [checked(policy, f) for f in (_trapped(policy, trap) for trap in _fitting(policy)) if f is not None]
    return finds + _worst_of_each(known)


def checked(policy: str, find: Find) -> Find:
    """The find itself. Raises PolicyError where it is above the guarantee."""
    if find.guarantee is not None and find.ratio > find.guarantee * (1 + SLACK):
        what = find.origin if find.case is None else find.case.to_dict()
        raise PolicyError(
            f"'{policy}' is {find.ratio:.6g} times the optimum, above its guarantee of {find.guarantee:.6g}, on "
            f"{what}. Either the policy or the guarantee is wrong."
        )
    return find


def examine(policy: str, case: Case, setting: str = "", origin: str = "local search") -> Find:
    """A policy on one small instance: its latency, the optimum, the bound and the guarantee there."""
    w = case.workload()
    total = simulate(w, policy, kv_tokens=case.kv_tokens).total_latency
    solved = tiny_optimum(_arrival(w), w.prompt_tokens, w.output_tokens, case.kv_tokens)
    assert solved is not None, "more nodes than any case that the search keeps"
    given = guarantee(policy, w, case.kv_tokens)
    bound = lower_bound(w, case.kv_tokens).total_latency
    return Find(
        setting, origin, total, solved[0], True, bound, given.ratio, given.sentence, len(case.rows),
        not any(a for a, _, _ in case.rows), case.alpha, case,
    )  # fmt: skip


def ratio(planner: Planner, case: Case) -> float | None:
    """Sum of latencies over the optimum; infinite where the policy never finishes, None where it cannot be known."""
    w = case.workload()
    solved = tiny_optimum(_arrival(w), w.prompt_tokens, w.output_tokens, case.kv_tokens, most_nodes=MOST_NODES)
    if solved is None:
        return None
    total = simulate(w, planner, kv_tokens=case.kv_tokens).total_latency
    return float("inf") if total is None else total / solved[0]


def _arrival(w: Workload) -> Any:
    assert w.arrival is not None
    return w.arrival


def _climb(planner: Planner, setting: Setting, rng: np.random.Generator) -> tuple[float, Case] | None:
    """Local search from a random case: changes that make the ratio no smaller are kept."""
    case = setting.draw(rng)
    best = ratio(planner, case)
    if best is None:
        return None
    for _ in range(STEPS):
        candidate = setting.changed(case, rng)
        if setting.allows(candidate):
            found = ratio(planner, candidate)
            if found is not None and found >= best:
                best, case = found, candidate
    return best, case


def _shrink(planner: Planner, setting: Setting, least: float, case: Case) -> Case:
    """The smallest form found with a ratio that is no smaller."""

    def keeps(candidate: Case) -> bool:
        if not setting.allows(candidate):
            return False
        found = ratio(planner, candidate)
        return found is not None and found >= least

    return shrunk(case, keeps)


# ---------------------------------------------------------------- traps
def _fitting(policy: str) -> Iterator[Trap]:
    """The traps on which a policy is defined, and that it can run in seconds."""
    name = parse_spec(policy, "policy")[0]
    for trap in traps():
        if name in SLOW and len(trap.workload) > MOST_SLOW:
            continue
        if name not in EQUAL or not np.ptp(trap.workload.prompt_tokens):
            yield trap


@cache
def best_known(trap_name: str, size: int) -> tuple[int, float]:
    """Sum of latencies of the best schedule known for a trap, and the lower bound."""
    trap = next(t for t in traps() if (t.name, len(t.workload)) == (trap_name, size))
    w = trap.workload
    total = by_policy(w, trap.kv_tokens).total_latency
    if trap.good_start is not None:
        assert is_feasible(_arrival(w), w.prompt_tokens, w.output_tokens, trap.good_start, trap.kv_tokens)
        total = min(total, int((trap.good_start + w.output_tokens - _arrival(w)).sum()))
    return total, lower_bound(w, trap.kv_tokens).total_latency


def _trapped(policy: str, trap: Trap) -> Find | None:
    """A policy in a trap; None where it cannot run there."""
    w = trap.workload
    if parse_spec(policy, "policy")[0] in INTERVALS:
        w = Case(tuple(zip(*(x.tolist() for x in (_arrival(w), w.prompt_tokens, w.output_tokens)), strict=True)),
                 trap.kv_tokens, 3).workload()  # fmt: skip
    best, bound = best_known(trap.name, len(w))
    total = simulate(w, policy, kv_tokens=trap.kv_tokens).total_latency
    given = guarantee(policy, w, trap.kv_tokens)
    alpha = float(peak(w.prompt_tokens, w.output_tokens).max()) / trap.kv_tokens
    return Find(
        "traps", f"{trap.name}, n = {len(w):,}", total, best, False, bound, given.ratio, given.sentence, len(w),
        not _arrival(w).any(), alpha, None,
    )  # fmt: skip


def _worst_of_each(finds: list[Find]) -> list[Find]:
    """Of the sizes of each family the one with the largest ratio; worst first."""
    worst: dict[str, Find] = {}
    for find in finds:
        family = find.origin.partition(", n =")[0]
        if family not in worst or find.ratio > worst[family].ratio:
            worst[family] = find
    return sorted(worst.values(), key=lambda f: -f.ratio)
