"""What the plug-in is told: `--additional-config '{"kvolume": {...}}'`, and environment variables KVOLUME_*, which win.

Everything is checked once, when the server starts; what vLLM cannot do is refused here, with a sentence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from kvolume.clock import parse_clock
from kvolume.errors import ParameterError, unknown_name
from kvolume.policy import ArrivalShare, LargestVolume, Latest, Policy, parse
from kvolume.policy.order import Order
from kvolume.text import number

DEFAULT_POLICY = "fair-svf"  # SVF with a share for the oldest, and vLLM's own admission
MODES = ("on", "observe", "off")
WHAT = "the kvolume plug-in"
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked settings of the plug-in. Lengths in tokens, times in seconds."""

    policy: str = DEFAULT_POLICY
    mode: str = "on"  # observe: vLLM's order, counting what would differ; off: vLLM's own scheduler, untouched
    trust_hints: bool = True  # believe clients' predicted_output_len and output_class
    preempted_first: bool = True  # a preempted request goes before everything that waits, as in vLLM
    shared_prefix: bool = True  # leave prefix blocks shared with running requests out of the volume
    keys: int = 4096  # client keys whose lengths and trust are remembered; the least recently used go
    slice_tokens: int = 0  # > 0: a running request yields after so many tokens if others wait, ...
    slice_ratio: float = 2.0  # ... and its next slice is longer by this factor
    wait_for: int = 0  # > 0: while anything runs, admit only when so many wait (WAIT, arXiv 2504.11320), ...
    wait_timeout_s: float = 1.0  # ... or the oldest has waited this long
    clock: str = "linear"  # what a step costs, for orders that weigh memory, slots and prefill (dominant)
    step_log: str = ""  # a file that every step and its duration is appended to, for `kvolume fit clock`

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown_name("mode", self.mode, MODES)
        number(self.keys, "keys", WHAT, low=1, high=10**7, integer=True)
        number(self.slice_tokens, "slice_tokens", WHAT, low=0, high=10**7, integer=True)
        number(self.slice_ratio, "slice_ratio", WHAT, low=1, high=1000)
        number(self.wait_for, "wait_for", WHAT, low=0, high=10**7, integer=True)
        number(self.wait_timeout_s, "wait_timeout_s", WHAT, low=0, high=3600)
        carried(self.policy)
        parse_clock(self.clock)

    def planner(self) -> Policy:
        """The policy object: the simulator's own."""
        return carried(self.policy)


def carried(text: str) -> Policy:
    """The policy of this name, if vLLM can carry it. Raises ParameterError, with the reason, if it cannot."""
    policy = parse(text)
    if not isinstance(policy, Policy) or type(policy).plan is not Policy.plan:
        raise ParameterError(
            f"Policy '{text}' plans every step itself; vLLM can carry an order, an admission and an eviction rule only "
            "(it cannot pause a decode and keep its KV cache)."
        )
    if type(policy.order) is not ArrivalShare and type(policy.order).queue is not Order.queue:
        raise ParameterError(f"Policy '{text}' has a queue of its own; vLLM can carry static keys and the share.")
    if not isinstance(policy.eviction, Latest | LargestVolume):
        raise ParameterError(
            f"Policy '{text}' evicts by '{policy.eviction.name}'; vLLM preempts one request at a time: "
            "use evict=latest or evict=largest."
        )
    if not policy.eviction.keep:
        raise ParameterError(
            f"Policy '{text}' has keep=0; vLLM always keeps the tokens of a preempted request: use keep=1."
        )
    return policy


def load(additional_config: object, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings from vLLM's additional_config (its key `kvolume`) and the environment, which wins.

    Raises ParameterError or UnknownNameError with one sentence.
    """
    environ = os.environ if environ is None else environ
    given = additional_config.get("kvolume", {}) if isinstance(additional_config, Mapping) else {}
    if isinstance(given, str):
        given = {"policy": given}
    if not isinstance(given, Mapping):
        raise ParameterError(
            f"The 'kvolume' entry of additional_config must be an object or a policy. Got {given!r} instead."
        )
    known = {f.name: f.default for f in fields(Settings)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise unknown_name("setting of kvolume", str(name), known)
        values[name] = value
    for name in known:
        if f"KVOLUME_{name.upper()}" in environ:
            values[name] = environ[f"KVOLUME_{name.upper()}"]
    return Settings(**{name: _typed(name, value, known[name]) for name, value in values.items()})


def _typed(name: str, value: Any, default: Any) -> Any:
    """A value as the type of its default; text is understood, as the environment has nothing else."""
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        if isinstance(value, str | int) and str(value).lower() in _YES + _NO:
            return str(value).lower() in _YES
        raise ParameterError(f"The '{name}' parameter of {WHAT} must be true or false. Got {value!r} instead.")
    if isinstance(default, int | float):
        if isinstance(value, bool):
            raise ParameterError(f"The '{name}' parameter of {WHAT} must be a number. Got {value!r} instead.")
        return number(value, name, WHAT, integer=isinstance(default, int))
    if not isinstance(value, str):
        raise ParameterError(f"The '{name}' parameter of {WHAT} must be text. Got {value!r} instead.")
    return value.strip()
