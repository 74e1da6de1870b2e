"""Guarantees as code: the proven ratio of a policy on a workload, with every assumption of the proof checked.

A ratio bounds the sum of latencies over that of the best schedule without preemption. `guarantee` gives it where the
proof covers the workload and the budget at hand, and says which assumption fails where it does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kvolume.bound.fits import check_fits
from kvolume.bound.ratios import gba_ratio, gsa_ratio, one_bit_ratio, svf_ratio
from kvolume.clock import UNIT
from kvolume.engine import simulate
from kvolume.engine.instance import Instance, prepare
from kvolume.geometry import peak, volume
from kvolume.policy import ArrivalShare, LookAhead, Order, Planner, Policy, catalogue, find, parse
from kvolume.policy.rules import raised
from kvolume.predict import OneBit
from kvolume.text import parse_spec
from kvolume.workload import Workload

LARGE_MEMORY = "memory large against every request (a limit)"


@dataclass(frozen=True)
class Assumption:
    """What a proof needs, whether it holds (None: a limit, which no single workload can show), and what is there."""

    needs: str
    holds: bool | None
    found: str = ""


@dataclass(frozen=True)
class Guarantee:
    """What is proven of a policy on one workload and budget.

    `value` is the formula's value whatever holds; `ratio` is it where everything holds that the proof needs.
    """

    policy: str
    formula: str
    source: str
    value: float | None
    assumptions: tuple[Assumption, ...] = field(default=())

    @property
    def failed(self) -> Assumption | None:
        """The first assumption that does not hold."""
        return next((a for a in self.assumptions if a.holds is False), None)

    @property
    def limit(self) -> Assumption | None:
        """The assumption that is a limit, if there is one."""
        return next((a for a in self.assumptions if a.holds is None), None)

    @property
    def ratio(self) -> float | None:
        """The proven ratio to the optimum on this workload; None where something fails or is only a limit."""
        return self.value if self.failed is None and self.limit is None else None

    @property
    def sentence(self) -> str:
        """The guarantee, or which assumption fails, in one sentence."""
        if self.failed is not None:
            why = f"the proof needs {self.failed.needs}, and {self.failed.found}"
            return f"{self.policy} has no proven ratio here: {why} ({self.source})."
        if self.value is None:
            return f"{self.policy} has no proven ratio: {self.formula}."
        limit = "" if self.limit is None else f" in the limit only: {self.limit.needs}, and here {self.limit.found}"
        facts = "; ".join(a.found for a in self.assumptions if a.holds and a.found)
        given = f", {facts}" if facts else ""
        ratio = f"{self.value:.4g}"
        formula = "" if self.formula == ratio else f" = {self.formula}"
        return f"{self.policy} is at most {ratio}{formula} times the optimum{limit}{given} ({self.source})."

    def to_dict(self) -> dict[str, Any]:
        """Flat, for JSON."""
        return {
            "policy": self.policy, "ratio": self.ratio, "formula": self.formula, "source": self.source,
            "value": self.value, "sentence": self.sentence,
            "assumptions": [{"needs": a.needs, "holds": a.holds, "found": a.found} for a in self.assumptions],
        }  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What proofs ask of a workload."""

    workload: Workload
    kv_tokens: int

    def burst(self) -> Assumption:
        """Everybody is there at once."""
        ticks = self.workload.arrival_ticks()
        found = f"these arrive over {int(ticks.max() - ticks.min())} rounds"
        return Assumption("all requests at once", bool((ticks == ticks[0]).all()), "" if not np.ptp(ticks) else found)

    @property
    def alpha(self) -> float:
        """The largest peak over the budget."""
        return float(peak(self.workload.prompt_tokens, self.workload.output_tokens).max()) / self.kv_tokens

    def below(self, most: float, alpha: float | None = None, name: str = "alpha") -> Assumption:
        """Every peak is at most this part of the budget (less than all of it for most = 1)."""
        alpha = self.alpha if alpha is None else alpha
        holds = alpha < 1 if most == 1 else alpha <= most
        needs = "every peak below M" if most == 1 else f"every peak at most {most:g} M"
        return Assumption(needs, holds, f"{name} = {alpha:.3g}" if holds else f"the largest is {alpha:.3g} M")

    def equal_prompts(self) -> Assumption:
        """One prompt length."""
        s = self.workload.prompt_tokens
        found = f"these go from {s.min()} to {s.max()} tokens"
        return Assumption("prompts of one length", not np.ptp(s), found if np.ptp(s) else "")

    def shortest_output(self, first: float, what: str) -> Assumption:
        """No slice or class is longer than the shortest output."""
        o = int(self.workload.output_tokens.min())
        needs = f"{what} no longer than the shortest output"
        return Assumption(needs, first <= o, f"{what} is {first:g}, the shortest output {o}" if first > o else "")

    def large_memory(self) -> Assumption:
        """A limit: asked of proofs that are exact only as the budget grows."""
        return Assumption(LARGE_MEMORY, None, f"the largest peak is {self.alpha:.3g} M")


def guarantee(policy: str | Planner, workload: Workload, kv_tokens: int) -> Guarantee:
    """What is proven of `policy` on this workload and budget, in rounds of equal length, or which assumption fails.

    Any policy of three answers has the guarantee of SVF where it serves by volume here: `sjf` on equal prompts does.
    Raises InputError for a request that can never fit, UnknownNameError for an unknown policy.
    """
    check_fits(workload, kv_tokens)
    facts = Facts(workload, kv_tokens)
    text = policy if isinstance(policy, str) else policy.name
    name, values = parse_spec(text, "policy")
    if name in BY_NAME and name not in (entry.id for entry in catalogue()):
        return BY_NAME[name](text, values, facts)  # its proof is known, its policy is not installed
    planner = parse(policy) if isinstance(policy, str) else policy
    if name in BY_NAME:
        return BY_NAME[name](text, values, facts)
    if not isinstance(planner, Policy):
        return Guarantee(text, find(name).guarantee if isinstance(policy, str) else "none is known", "", None)
    if isinstance(planner.knowledge, OneBit):
        return _one_bit(text, planner, facts)
    return _smallest_first(text, planner, facts)


# ---------------------------------------------------------------- policies of three answers
def _three_answers(planner: Policy) -> list[Assumption]:
    """What the waiting lemma of the SVF paper needs of a policy: its own classes, since a subclass may do otherwise."""
    looks, order = type(planner.admission) is LookAhead, type(planner.order)
    strict = "" if planner.backfill == 0 else f"{planner.backfill} misfits may be passed over"
    if type(planner) is not Policy or not (order is ArrivalShare or order.queue is Order.queue):
        strict = "this policy may serve it otherwise"
    return [
        Assumption("look-ahead admission", looks, "" if looks else f"it is {planner.admission.name}"),
        Assumption("a queue served strictly in order", not strict, strict),
    ]


def _smallest_first(text: str, planner: Policy, facts: Facts) -> Guarantee:
    """Theorem 3.2 for whatever serves by volume on this workload, with a share for the oldest (claim 1, ours)."""
    share = planner.order.share if isinstance(planner.order, ArrivalShare) else 0.0
    instance = prepare(facts.workload, planner, facts.kv_tokens, UNIT)
    alpha = facts.below(1)
    shared = [] if not share else [Assumption("a share below 1", share < 1, f"share = {share:g}")]
    exact = Assumption("exact lengths", instance.exact, "" if instance.exact else "predictions differ from the outputs")
    formula, source = "1 + 2/(1-alpha)", "SVF, Theorem 3.2"
    if share:
        formula, source = "1 + 2/((1-alpha)(1-share))", "SVF with an arrival share, claim 1 (docs, policies)"
    value = svf_ratio(facts.alpha, share) if facts.alpha < 1 and share < 1 else None
    return Guarantee(
        text, formula, source, value,
        (facts.burst(), exact, _by_volume(instance), *_three_answers(planner), alpha, *shared),
    )  # fmt: skip


def _by_volume(i: Instance) -> Assumption:
    """Is the static order on this workload one by volume?"""
    order = np.lexsort((np.arange(len(i)), i.keys))
    v = volume(i.prompt, i.output)[order]
    drops = np.flatnonzero(np.diff(v) < 0)
    found = f"here one of volume {v[drops[0]]} goes before one of {v[drops[0] + 1]}" if drops.size else ""
    return Assumption("the smallest volume first", not drops.size, found)


def _one_bit(text: str, planner: Policy, facts: Facts) -> Guarantee:
    """Theorem 3.3 as far as it holds for an admission that knows the proxies only (docs/guarantees.md, ours).

    The theorem's 1 + 2T/(1-alpha) is for an admission that knows the lengths. Ours reckons with the proxies, doubled
    when outgrown: 1 + 2(4T + c^2 sqrt T)/(1-alpha'), c what rounding up adds to a proxy, alpha' the largest peak that
    was ever reckoned with, unless somebody is evicted.
    """
    knowledge = planner.knowledge
    assert isinstance(knowledge, OneBit)
    w, longest = facts.workload, int(facts.workload.output_tokens.max())
    most = knowledge.most or longest
    rule = Assumption("rule=worst-case", knowledge.rule == "worst-case", f"the rule is {knowledge.rule}")
    rule = rule if not rule.holds else Assumption(rule.needs, True)
    told = w.predicted is None or bool(np.array_equal(w.predicted, w.output_tokens))
    lane = isinstance(planner.order, ArrivalShare)
    instance = prepare(w, planner, facts.kv_tokens, UNIT)
    grown = [_outgrown(g, o, m) for g, o, m in zip(instance.guess, instance.output, instance.most, strict=True)]
    alpha = float((instance.prompt + np.array(grown)).max()) / facts.kv_tokens
    evicted = int(simulate(w, planner, kv_tokens=facts.kv_tokens).evictions.sum())
    needs = (
        facts.burst(), rule,
        Assumption("the true bit of each request", told, "" if told else "predictions differ from the outputs"),
        Assumption("T no smaller than the longest output", most >= longest, f"T = {most}"),
        Assumption("no share for the oldest", not lane, "there is one" if lane else ""),
        *_three_answers(planner),
        facts.below(1, alpha, "alpha'"),
        Assumption("that nobody is evicted", not evicted, f"{evicted} are" if evicted else ""),
    )  # fmt: skip
    rounding = max(math.ceil(x) / x for x in (most**0.25, most**0.75))
    value = one_bit_ratio(most, alpha, rounding) if alpha < 1 else None
    formula = "1 + 2(4T + c^2 sqrt T)/(1-alpha')"
    return Guarantee(text, formula, "SVF, Theorem 3.3, for admission by the proxies", value, needs)


def _outgrown(guess: int, output: int, most: int) -> int:
    """The last guess of a request that nobody interrupts."""
    while guess < output:
        guess = raised(guess, most)
    return int(guess)


# ---------------------------------------------------------------- policies with a plan of their own
Values = Mapping[str, str]
Rule = Callable[[str, Values, Facts], Guarantee]


def _number(values: Values, name: str, default: float) -> float:
    return float(values.get(name, default))


def _gsa(text: str, values: Values, facts: Facts) -> Guarantee:
    alpha, first = _number(values, "alpha", 2.0), _number(values, "tau0", 1)
    needs = (
        facts.burst(), facts.equal_prompts(), Assumption("alpha above 1", alpha > 1, f"growth {alpha:g}"),
        facts.shortest_output(first, "the first slice"),
    )  # fmt: skip
    formula = "2a/(a-1) * (3a^2 + a^2/(a-1))"
    return Guarantee(text, formula, "GSA, arXiv 2601.22996", gsa_ratio(alpha) if alpha > 1 else None, needs)


def _gba(text: str, values: Values, facts: Facts) -> Guarantee:
    alpha, first = _number(values, "alpha", 4 / 3), _number(values, "beta", 1)
    exact = facts.workload.predicted is None or np.array_equal(facts.workload.predicted, facts.workload.output_tokens)
    needs = (
        facts.burst(), facts.equal_prompts(), Assumption("alpha above 1", alpha > 1, f"growth {alpha:g}"),
        Assumption("exact lengths", bool(exact), "" if exact else "predictions differ from the outputs"),
        facts.shortest_output(first, "the first class"),
    )  # fmt: skip
    formula = "3a^2 + a^2/(a-1)"
    return Guarantee(text, formula, "GBA, arXiv 2601.22996", gba_ratio(alpha) if alpha > 1 else None, needs)


def _sps(text: str, values: Values, facts: Facts) -> Guarantee:
    o = facts.workload.output_tokens
    same = Assumption("identical requests", not np.ptp(o), f"outputs go from {o.min()} to {o.max()}")
    same = Assumption(same.needs, True) if same.holds else same
    return Guarantee(text, "2", "GSA, arXiv 2601.22996", 2.0, (facts.burst(), facts.equal_prompts(), same))


def _a_max(text: str, values: Values, facts: Facts) -> Guarantee:
    """The paper's ratio is 1 at l = u, where A-max is MC-SF, which is not optimal (docs/guarantees.md)."""
    return Guarantee(
        text, "the paper's (1/a)(1 + 1/a)/2, a = l/u, can only be against MC-SF with known lengths",
        "A-max, arXiv 2508.14544", None,
    )  # fmt: skip


def _a_min(text: str, values: Values, facts: Facts) -> Guarantee:
    return Guarantee(
        text, "the paper proves O(log(u/l)) for equal prompts in one burst, without a constant",
        "A-min, arXiv 2508.14544", None,
    )  # fmt: skip


def _sorted_f(text: str, values: Values, facts: Facts) -> Guarantee:
    return Guarantee(text, "48", "Sorted-F, arXiv 2508.06133", 48.0, (facts.burst(), facts.large_memory()))


def _wait(text: str, values: Values, facts: Facts) -> Guarantee:
    return Guarantee(
        text, "the paper bounds the throughput gap, O(T^-1/2) where the fluid memory M* fits, and no latency ratio",
        "WAIT, arXiv 2504.11320", None,
    )  # fmt: skip


BY_NAME: dict[str, Rule] = {
    "gsa": _gsa, "gsa-spec": _gsa, "gba": _gba, "gba-d": _gba, "sps": _sps, "a-max": _a_max, "a-min": _a_min,
    "sorted-f": _sorted_f, "wait": _wait, "nested-wait": _wait,
}  # fmt: skip
