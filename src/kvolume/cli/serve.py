"""`kvolume serve`."""

from __future__ import annotations

import os
import shlex
from typing import Annotated

from cyclopts import Parameter


def serve(
    *arguments: Annotated[str, Parameter(help="The arguments of `vllm serve`, after --.", allow_leading_hyphen=True)],
    policy: Annotated[str | None, Parameter(help="The policy; by default fair-svf.")] = None,
    mode: Annotated[str | None, Parameter(help="on, observe (vLLM's order, counted) or off.")] = None,
    dry_run: Annotated[bool, Parameter(help="Print the command and do not run it.", negative=())] = False,
) -> None:
    """Start `vllm serve` with kvolume's scheduler: fills in the flags and says what it did."""
    from kvolume.cli import console
    from kvolume.vllm import launch

    ready = launch.command(arguments, policy, mode, os.environ, dry_run=dry_run)
    console.note(*ready.notes)
    if dry_run:
        print(shlex.join(ready.argv))
        return
    os.execvpe(ready.argv[0], ready.argv, ready.environ)
