"""Policies by name: `svf`, `svf:share=0.1,admission=greedy`. Names are data; third parties add theirs by entry point.

A package registers a policy under the entry-point group `kvolume.policies`; the object it names is an `Entry`.
When a policy's decisions change, its name does, so that published numbers stay comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from kvolume.errors import ParameterError, unknown_name
from kvolume.policy.admission import Admission, Greedy, LookAhead, Peak, Protected
from kvolume.policy.contract import Planner
from kvolume.policy.eviction import All, AtRandom, Eviction, LargestVolume, LastInOrder, Latest
from kvolume.policy.order import Order
from kvolume.policy.policy import Policy
from kvolume.text import check_keys, number, parse_spec

GROUP = "kvolume.policies"


class Parameter(NamedTuple):
    """A parameter of a policy: its default as text, and what it means."""

    default: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """A policy that can be named. `make` gets the checked parameters as text and returns the policy."""

    id: str
    summary: str
    make: Callable[[Mapping[str, str]], Planner]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    knowledge: str = "predicted output length"
    guarantee: str = "none"
    paper: str = ""
    alias_of: str = ""


COMMON: dict[str, Parameter] = {
    "admission": Parameter("look-ahead", "look-ahead, greedy, peak, or protected (with alpha)"),
    "alpha": Parameter("0.3", "fraction of the budget kept free (admission=protected)"),
    "evict": Parameter("latest", "latest, largest, last (in the policy's order), all, or random (with beta)"),
    "beta": Parameter("0.1", "probability of leaving (evict=random)"),
    "keep": Parameter("1", "1: evicted requests keep their tokens; 0: they start again from zero"),
    "backfill": Parameter("0", "misfits that may be passed over in a round"),
    "seed": Parameter("0", "seed of everything random in the policy"),
}

ADMISSIONS = ("look-ahead", "greedy", "peak", "protected")
EVICTIONS = ("latest", "largest", "last", "all", "random")


def admission(values: Mapping[str, str], what: str, default: str = "look-ahead") -> Admission:
    """The admission rule that the common parameters name."""
    name = values.get("admission", default)
    if name not in ADMISSIONS:
        raise unknown_name("admission", name, ADMISSIONS)
    if name == "protected":
        return Protected(number(values.get("alpha", 0.3), "alpha", what, low=0, high=0.999))
    if "alpha" in values:
        raise ParameterError(f"The 'alpha' parameter of {what} needs admission=protected.")
    return {"look-ahead": LookAhead(), "greedy": Greedy(), "peak": Peak()}[name]


def eviction(values: Mapping[str, str], what: str, default: str = "latest", keep: bool = True) -> Eviction:
    """The eviction rule that the common parameters name."""
    name = values.get("evict", default)
    if name not in EVICTIONS:
        raise unknown_name("eviction", name, EVICTIONS)
    keep = bool(number(values.get("keep", int(keep)), "keep", what, low=0, high=1, integer=True))
    if name == "random":
        return AtRandom(keep, number(values.get("beta", 0.1), "beta", what, low=0, high=1, open_low=True))
    if "beta" in values:
        raise ParameterError(f"The 'beta' parameter of {what} needs evict=random.")
    rules = {"latest": Latest, "largest": LargestVolume, "last": LastInOrder, "all": All}
    return rules[name](keep)


def three_answers(
    order: Order, values: Mapping[str, str], what: str, *, admit: str = "look-ahead", evict: str = "latest",
    keep: bool = True, **rest: Any,
) -> Policy:  # fmt: skip
    """A policy of this order with the common parameters."""
    return Policy(
        order,
        admission(values, what, admit),
        eviction(values, what, evict, keep),
        backfill=int(number(values.get("backfill", 0), "backfill", what, low=0, high=4096, integer=True)),
        seed=int(number(values.get("seed", 0), "seed", what, low=0, high=2**31, integer=True)),
        **rest,
    )


@cache
def _entries() -> dict[str, Entry]:
    from kvolume.policy.builtin import BUILTIN

    found = {entry.id: entry for entry in BUILTIN}
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        if point.name not in found:
            found[point.name] = point.load()
    return found


_registered: dict[str, Entry] = {}


def register(entry: Entry) -> Entry:
    """Make a policy known by name in this process. Raises ParameterError where the name is taken."""
    if entry.id in _entries():
        raise ParameterError(f"A policy named '{entry.id}' exists already.")
    _registered[entry.id] = entry
    return entry


def catalogue() -> list[Entry]:
    """All policies, built-in ones first, in the order in which they are best read."""
    return [*_entries().values(), *_registered.values()]


def find(name: str) -> Entry:
    """The entry of this name. Raises UnknownNameError with the nearest one."""
    entry = _entries().get(name) or _registered.get(name)
    if entry is None:
        raise unknown_name("policy", name, (e.id for e in catalogue()))
    return entry


def parse(text: str) -> Planner:
    """The policy that a string names, e.g. `svf:share=0.1,admission=greedy`.

    Raises UnknownNameError for a name or parameter that does not exist, ParameterError for a bad value.
    """
    name, values = parse_spec(text, "policy")
    entry = find(name)
    check_keys(values, entry.parameters, f"policy {name}")
    policy = entry.make(values)
    own = getattr(policy, "__dataclass_fields__", {})
    return replace(policy, name=text.strip()) if "name" in own else policy  # type: ignore[type-var]
