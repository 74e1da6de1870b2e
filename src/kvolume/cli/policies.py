"""`kvolume policies`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from kvolume.cli.app import Json


def policies(
    name: Annotated[str | None, Parameter(help="The policy to describe; without it, all are listed.")] = None,
    /,
    *,
    json: Json = False,
) -> None:
    """List the policies, or describe one: parameters, what it must know, guarantee, paper."""
    from kvolume.report import policies as show

    entries = show.entries(name)
    if json:
        print(show.to_json(entries), end="")
    else:
        print(show.details(entries[0]) if name else show.listing(entries), end="")
