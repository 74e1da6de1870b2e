"""Fitted clocks as files: the costs of an iteration as measured on a real engine, and where they come from.

A profile is a JSON object: `seconds` (the costs), `kv_tokens` and `serving` (what the engine had, where that is known),
`fit` (how well the costs describe what was measured) and `provenance`. Named ones lie in $KVOLUME_HOME/clocks, or in
kvolume/clocks in the user's configuration folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kvolume.errors import InputError, ParameterError, UnknownNameError, unknown_name
from kvolume.text import number

COSTS = ("base", "request", "kv_token", "prefill_token", "prefill_pair")  # of a linear clock
KIND = "clock profile"
MOST_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The costs of an iteration in seconds (keys as in COSTS), and what is known of the engine that they come from."""

    seconds: dict[str, float]
    kv_tokens: int | None = None  # of the engine's cache
    serving: str = ""  # options of its scheduler, as `--serving` takes them
    front_end: float = 0.0  # seconds that a request spends outside the engine before its first token
    fit: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


def folder() -> Path:
    """Where named profiles lie; it need not exist."""
    home = os.environ.get("KVOLUME_HOME")
    if home:
        return Path(home) / "clocks"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kvolume" / "clocks"


def names() -> list[str]:
    """The named profiles."""
    return sorted(path.stem for path in folder().glob("*.json"))


def is_profile(text: str) -> bool:
    """Can the text mean nothing but a profile?"""
    return text.startswith("profile:") or text.endswith(".json")


def path_of(name: str) -> Path:
    """The file of a name, or the path itself. Raises ParameterError for what is neither."""
    if name.endswith(".json"):
        return Path(name)
    if not name or name.startswith(".") or not all(c.isalnum() or c in "-_.+" for c in name):
        raise ParameterError(
            f"The name of a clock profile must be of letters, digits and -_.+, or a path that ends in .json. "
            f"Got '{name}' instead."
        )
    return folder() / f"{name}.json"


def named(name: str) -> bool:
    """Is there a profile of this name?"""
    return name in names()


def load(name: str) -> Profile:
    """The profile of this name or at this path.

    Raises UnknownNameError with the nearest name, InputError for a file that is missing or not a profile.
    """
    path = path_of(name)
    if not path.is_file():
        if name.endswith(".json"):
            raise InputError(f"There is no clock profile '{name}'. Make one with `kvolume fit clock`.")
        if not names():
            raise UnknownNameError(f"There is no clock profile '{name}', nor any other: `kvolume fit clock` makes one.")
        raise unknown_name("clock profile", name, names())
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"The clock profile '{path}' is not JSON: {error}.") from None
    return _checked(values, path)


def _checked(values: Any, path: Path) -> Profile:
    what = f"clock profile '{path}'"
    if not isinstance(values, Mapping) or values.get("kvolume") != KIND:
        raise InputError(f"The {what} was not written by `kvolume fit clock`: its key 'kvolume' must be '{KIND}'.")
    seconds = values.get("seconds")
    if not isinstance(seconds, Mapping) or "base" not in seconds:
        raise InputError(f"The {what} has no costs: its key 'seconds' must be an object with 'base'.")
    try:
        for key in seconds:
            if key not in COSTS:
                raise unknown_name("cost", str(key), COSTS)
        costs = {key: number(seconds.get(key, 0.0), key, what, low=0, high=MOST_SECONDS) for key in COSTS}
        number(costs["base"], "base", what, low=1e-9)
        kv_tokens = values.get("kv_tokens")
        if kv_tokens is not None:
            kv_tokens = int(number(kv_tokens, "kv_tokens", what, low=1, high=1_000_000_000, integer=True))
        front_end = number(values.get("front_end") or 0.0, "front_end", what, low=0, high=MOST_SECONDS)
    except ValueError as error:
        raise InputError(f"The {what} cannot be used. {error}") from None
    rest = {key: dict(values.get(key) or {}) for key in ("fit", "provenance")}
    serving = str(values.get("serving") or "")
    return Profile(seconds=costs, kv_tokens=kv_tokens, serving=serving, front_end=front_end, **rest)


def to_json(profile: Profile) -> str:
    """The profile as indented JSON."""
    return json.dumps({"kvolume": KIND} | asdict(profile), indent=2, allow_nan=False) + "\n"
