"""The built-in policies that plan by themselves, as data (builtin.py has those of three answers)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from kvolume.errors import unknown_name
from kvolume.policy.contract import Planner
from kvolume.policy.gba import GBA, GBAD
from kvolume.policy.gsa import GSA
from kvolume.policy.gsa_spec import GSASpec
from kvolume.policy.interval import AMin
from kvolume.policy.registry import Entry, Parameter
from kvolume.policy.route import Route
from kvolume.policy.sorted_f import SortedF
from kvolume.policy.wait import WAIT, NestedWAIT
from kvolume.text import number

Values = Mapping[str, str]

GSA_PAPER = "GSA, arXiv 2601.22996"
INTERVAL_PAPER = "A-min, arXiv 2508.14544"
SORTED_PAPER = "Sorted-F, arXiv 2508.06133"
WAIT_PAPER = "WAIT, arXiv 2504.11320"


def _geometric(
    make: Callable[[float, float], Planner], first: str, default: float, what: str
) -> Callable[[Values], Planner]:
    def made(values: Values) -> Planner:
        growth = number(values.get("alpha", default), "alpha", what, low=1.01, high=1000)
        return make(growth, number(values.get(first, 1), first, what, low=1, high=1e9))

    return made


def _slices(default: str) -> dict[str, Parameter]:
    return {
        "alpha": Parameter(default, "growth of the slices from phase to phase, 1.01 at least"),
        "tau0": Parameter("1", "first slice, in rounds; no longer than the most common short output"),
    }


def _classes(default: str) -> dict[str, Parameter]:
    return {
        "alpha": Parameter(default, "growth of the classes' bounds, 1.01 at least"),
        "beta": Parameter("1", "bound of the first class, in tokens"),
    }


WAITING = {
    "rates": Parameter("known", "arrival rates: known (in sample), or estimated from the block of arrivals before"),
    "block": Parameter("0", "arrivals in a block of constant rates; 0: all of them if known, 1000 if estimated"),
    "waits": Parameter("1", "1: a group waits until enough newcomers are there; 0: thresholds only cap newcomers"),
}


def _choice(values: Values, key: str, allowed: tuple[str, ...]) -> str:
    value = values.get(key, allowed[0])
    if value not in allowed:
        raise unknown_name(key, value, allowed)
    return value


def _whole(values: Values, key: str, default: int, what: str, low: int, high: int) -> int:
    return int(number(values.get(key, default), key, what, low=low, high=high, integer=True))


def _wait(values: Values) -> Planner:
    what = "policy wait"
    return WAIT(
        _whole(values, "types", 8, what, 1, 64), _choice(values, "rates", ("known", "estimated")),
        _whole(values, "block", 0, what, 0, 10**9), bool(_whole(values, "waits", 1, what, 0, 1)),
    )  # fmt: skip


def _nested_wait(values: Values) -> Planner:
    what = "policy nested-wait"
    return NestedWAIT(
        _whole(values, "segments", 8, what, 1, 64), _choice(values, "rates", ("known", "estimated")),
        _whole(values, "block", 0, what, 0, 10**9), bool(_whole(values, "waits", 1, what, 0, 1)),
        cap=_whole(values, "cap", 0, what, 0, 10**9), prompt=_choice(values, "prompt", ("max", "mean")),
    )  # fmt: skip


def _sorted_f(values: Values) -> Planner:
    return SortedF(exact=_whole(values, "exact", 40, "policy sorted-f", 0, 400))


def _elsewhere(module: str, function: str) -> Callable[[Values], Planner]:
    """A policy from a higher floor of the house, named as data and loaded when it is asked for."""
    return lambda values: getattr(import_module(module), function)(values)


PLANNERS: tuple[Entry, ...] = (
    Entry(
        "gsa", "Geometric slicing: everybody gets a slice, then everybody left one that is alpha times as long.",
        _geometric(GSA, "tau0", 2, "policy gsa"), _slices("2"), knowledge="none",
        guarantee="61.92 at alpha = 1.7676, 32 with large memory at alpha = 2; equal prompts, all at 0",
        paper=GSA_PAPER,
    ),
    Entry(
        "gsa-spec", "GSA, with spare memory used for speculative runs.",
        _geometric(GSASpec, "tau0", 2, "policy gsa-spec"), _slices("2"), knowledge="none",
        guarantee="that of gsa: no request is later than under it",
        paper=GSA_PAPER,
    ),
    Entry(
        "gba", "Geometric batches: classes of lengths, shortest first, each in a staggered pipeline.",
        _geometric(GBA, "beta", 4 / 3, "policy gba"), _classes("4/3"),
        guarantee="10.67 at alpha = 4/3, 6.75 with large memory at alpha = 3/2; equal prompts, all at 0",
        paper=GSA_PAPER,
    ),
    Entry(
        "gba-d", "GBA, whose timetable moves up wherever it fits.",
        _geometric(GBAD, "beta", 4 / 3, "policy gba-d"), _classes("4/3"),
        guarantee="that of gba: no request is later than under it",
        paper=GSA_PAPER,
    ),
    Entry(
        "a-min", "Reckons with lower bounds of the lengths, which rise with every eviction.",
        lambda v: AMin(), knowledge="lower bound l of the output (column lower, or the prediction)",
        guarantee="O(log(u/l)), all at 0, equal prompts", paper=INTERVAL_PAPER,
    ),
    Entry(
        "route", "GSA for unequal prompts: large, prompt-heavy and response-heavy requests share the time.",
        lambda v: Route(number(v.get("part", 0.25), "part", "policy route", low=0.01, high=1)),
        {"part": Parameter("0.25", "prompts up to this part of the budget are small")},
        knowledge="none", guarantee="constant, unequal prompts, all at 0", paper="Route, arXiv 2607.09248",
    ),
    Entry(
        "sorted-f", "Batches that are short for their size first: smallest sum of outputs over size squared.",
        _sorted_f,
        {"exact": Parameter("40", "waiting requests up to which a batch is found exactly, 400 at most")},
        guarantee="48 with large memory, all at 0", paper=SORTED_PAPER,
    ),
    Entry(
        "sorted-lp", "Order of the mean starts in the linear relaxation; small instances, needs SciPy.",
        _elsewhere("kvolume.bound.sorted_lp", "sorted_lp"), paper=SORTED_PAPER,
    ),
    Entry(
        "lp-swap", "Sorted-F's local swaps from the order of sorted-lp; small instances, needs SciPy.",
        _elsewhere("kvolume.bound.sorted_lp", "lp_swap"), paper=SORTED_PAPER,
    ),
    Entry(
        "wait", "Thresholds by type of request: a type runs only if enough newcomers of it are there.",
        _wait,
        {"types": Parameter("8", "(prompt, output) pairs, or classes of output where there are more, 64 at most")}
        | WAITING,
        knowledge="predicted output length, arrival rates",
        guarantee="throughput within O(T^-1/2) of the fluid optimum, O(1/T) with slack; delays bounded",
        paper=WAIT_PAPER,
    ),
    Entry(
        "nested-wait", "Thresholds by segment of the output: who goes on waits for company at the segment's entry.",
        _nested_wait,
        {"segments": Parameter("8", "lengths there are, or quantiles of them where there are more, 64 at most")}
        | WAITING | {
            "cap": Parameter("0", "practical tuning: equal segments, thresholds that sum to so many requests; 0: none"),
            "prompt": Parameter("max", "prompt that the thresholds reckon with: max (as published) or mean"),
        },
        knowledge="distribution of output lengths, arrival rates",
        guarantee="as wait, with high probability, if the memory condition holds (kvolume.bound.fluid)",
        paper=WAIT_PAPER,
    ),
)  # fmt: skip
