"""Everything that kvolume raises on purpose.

KvolumeError
├── InputError (ValueError)          data that cannot be read or used: file, row, column, value, cure
├── ParameterError (ValueError)      an option or argument outside its range
├── UnknownNameError (ValueError)    a policy, parameter, workload or clock that does not exist
├── MissingExtraError (ImportError)  a feature whose optional library is not installed
├── PolicyError (RuntimeError)       a policy that broke its contract in an engine
└── SolverError (RuntimeError)       a solver that ended without a usable answer
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class KvolumeError(Exception):
    """Base class: catch it to catch all that kvolume raises on purpose."""


class InputError(KvolumeError, ValueError):
    """Data that cannot be read or used; the message names file, row, column, value and cure."""


class ParameterError(KvolumeError, ValueError):
    """An option or argument outside its range; the message names it, its value and what is allowed."""


class UnknownNameError(KvolumeError, ValueError):
    """A name that does not exist; the message has the nearest valid one."""


class MissingExtraError(KvolumeError, ImportError):
    """A feature whose optional library is not installed; the message has the command that installs it."""


class PolicyError(KvolumeError, RuntimeError):
    """A policy that broke its contract: overran the budget, started a request before it arrived or twice."""


class SolverError(KvolumeError, RuntimeError):
    """A solver that ended without a usable answer."""


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> UnknownNameError:
    """The error for an unknown `name` of a `kind`, with the nearest of the `allowed` ones."""
    known = sorted(allowed)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UnknownNameError(f"Unknown {kind} '{name}'.{hint} Known: {', '.join(known)}.")


def missing_extra(feature: str, extra: str, library: str) -> MissingExtraError:
    """The error for a `feature` that needs `library`, with the one-line cure."""
    return MissingExtraError(
        f"{feature} needs {library}, which is not installed. Install it with: pip install 'kvolume[{extra}]'"
    )
