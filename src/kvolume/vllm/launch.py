"""`kvolume serve -- ARGUMENTS`: the command line of `vllm serve`, completed, and what was added to it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, NamedTuple

from kvolume.errors import MissingExtraError, ParameterError
from kvolume.vllm import settings
from kvolume.vllm.plugin import SCHEDULER


class Launch(NamedTuple):
    """What to execute, with which environment, and sentences on what was filled in."""

    argv: list[str]
    environ: dict[str, str]
    notes: list[str]


def command(
    arguments: Sequence[str], policy: str | None, mode: str | None, environ: Mapping[str, str], *, dry_run: bool = False
) -> Launch:
    """Complete the arguments of `vllm serve`; a dry run looks for no program.

    Raises ParameterError or UnknownNameError for what cannot be done, MissingExtraError without vLLM.
    """
    rest, notes = list(arguments), []
    if not rest:
        raise ParameterError("kvolume serve needs the arguments of `vllm serve`: kvolume serve -- MODEL --port 8000")
    scheduler, rest = _take(rest, "--scheduler-cls")
    if scheduler not in (None, SCHEDULER):
        raise ParameterError(f"--scheduler-cls {scheduler} and kvolume's scheduler exclude each other: leave it out.")
    text, rest = _take(rest, "--additional-config")
    config = _json(text)
    given = config.get("kvolume", {})
    given = {"policy": given} if isinstance(given, str) else dict(given) if isinstance(given, Mapping) else given
    if isinstance(given, dict):
        given |= {name: value for name, value in (("policy", policy), ("mode", mode)) if value is not None}
    config["kvolume"] = given
    checked = settings.load(config, environ)
    added = ["--scheduler-cls", SCHEDULER, "--additional-config", json.dumps(config)]
    notes.append(f"policy {checked.policy}, mode {checked.mode}: added {shlex.join(added)}")
    if "kvolume" not in environ.get("VLLM_PLUGINS", "kvolume").split(","):
        notes.append("VLLM_PLUGINS leaves kvolume out: its metrics will not be on /metrics")
    return Launch([*(["vllm"] if dry_run else find()), "serve", *rest, *added], dict(environ), notes)


def find() -> list[str]:
    """How to run this environment's vLLM. Raises MissingExtraError where there is none."""
    try:
        version("vllm")
    except PackageNotFoundError:  # a CPU build goes by another name, which vLLM's own program does not expect
        if find_spec("vllm") is None:
            raise MissingExtraError(
                "kvolume serve needs vLLM, which is not installed here: install kvolume where vLLM is."
            ) from None
        return [sys.executable, "-m", "kvolume.vllm.main"]
    return [sys.executable, "-m", "vllm.entrypoints.cli.main"]


def _take(arguments: list[str], name: str) -> tuple[str | None, list[str]]:
    """The value of an option, written `--name value` or `--name=value`, and the arguments without it."""
    rest, value, i = [], None, 0
    spelled = (name, name.replace("-", "_").replace("__", "--", 1))
    while i < len(arguments):
        option, equals, after = arguments[i].partition("=")
        if option not in spelled:
            rest.append(arguments[i])
        elif equals:
            value = after
        elif i + 1 < len(arguments):
            i += 1
            value = arguments[i]
        else:
            raise ParameterError(f"{name} needs a value.")
        i += 1
    return value, rest


def _json(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise ParameterError(f"--additional-config must be a JSON object ({error}). Got '{text}' instead.") from None
    if not isinstance(value, dict):
        raise ParameterError(f"--additional-config must be a JSON object. Got '{text}' instead.")
    return value
