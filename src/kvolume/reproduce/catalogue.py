"""The experiments by name, each in a function of its own; nothing is imported until it runs."""

from __future__ import annotations

from importlib import import_module
from time import perf_counter
from typing import NamedTuple

from kvolume.errors import unknown_name
from kvolume.reproduce.experiment import Options, Outcome


class Experiment(NamedTuple):
    """Where an experiment is, what it is of, and how long it takes (seconds on one core, roughly)."""

    where: str
    summary: str
    takes_s: int


EXPERIMENTS = {
    "svf-table1": Experiment("svf:table1", "SVF's guarantees: proven, mean and worst ratio", 60),
    "svf-burst": Experiment("svf:burst", "SVF's Table 2: a burst of 2,000 requests on a server", 5),
    "svf-poisson": Experiment("svf:poisson", "SVF under Poisson arrivals on a server", 3),
    "mcsf-synthetic": Experiment("mcsf:synthetic", "MC-SF on small random instances", 90),
    "gsa-lmsys": Experiment("gsa:lmsys", "GSA and GBA on a burst of LMSYS replies", 20),
    "gsa-trap": Experiment("gsa:trap", "the instance that is bad for the non-clairvoyant", 1),
    "wait-fluid": Experiment("wait:fluid", "the KV tokens of WAIT's fluid equilibrium", 1),
    "wait-single": Experiment("wait:single", "WAIT's sustainable rate for p512d20", 20),
    "wait-two-type": Experiment("wait:two_type", "the same for 70% p512d20 and 30% p512d50", 20),
    "sorted-f": Experiment("sorted_f:compared", "Sorted-F and its relatives on unequal prompts", 20),
    "amin-intervals": Experiment("intervals:intervals", "A-min and A-max where only intervals are known", 5),
}


def run(name: str, options: Options) -> Outcome:
    """Run one experiment. Raises UnknownNameError with the nearest name."""
    module, _, function = find(name).where.partition(":")
    outcome = getattr(import_module(f"kvolume.reproduce.{module}"), function)(options)
    assert isinstance(outcome, Outcome)
    return outcome


def timed(name: str, options: Options) -> tuple[Outcome, float]:
    """The same, and how many seconds it took."""
    begin = perf_counter()
    return run(name, options), perf_counter() - begin


def find(name: str) -> Experiment:
    """The experiment of this name. Raises UnknownNameError with the nearest one."""
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, (*EXPERIMENTS, "adversary", "all"))
    return EXPERIMENTS[name]


def listing() -> str:
    """One experiment a line."""
    more = {
        "adversary": "search for instances that are bad for --policy, against its guarantee",
        "all": "every experiment, each in a process of its own, and the page of the docs",
    }
    wide = max(map(len, EXPERIMENTS))
    lines = [f"{name.ljust(wide)}  {e.summary}" for name, e in EXPERIMENTS.items()]
    lines += [f"{name.ljust(wide)}  {text}" for name, text in more.items()]
    return "\n".join(lines) + "\n"
