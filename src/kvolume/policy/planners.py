"""The built-in policies that plan by themselves, as data (builtin.py has those of three answers)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kvolume.policy.contract import Planner
from kvolume.policy.gba import GBA, GBAD
from kvolume.policy.gsa import GSA
from kvolume.policy.gsa_spec import GSASpec
from kvolume.policy.registry import Entry, Parameter
from kvolume.text import number

Values = Mapping[str, str]

GSA_PAPER = "GSA, arXiv 2601.22996"


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
)  # fmt: skip
