"""`kvolume validate`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from kvolume.cli.app import File, Json, Serving, integer_option, kv_tokens_option


def validate(
    result: Annotated[File, Parameter(help="A result of `vllm bench serve --save-result --save-detailed`.")],
    /,
    *,
    clock: Annotated[str, Parameter(help="A fitted clock by name or path, or any other clock.")],
    kv_tokens: Annotated[
        int | None, kv_tokens_option("Tokens that the server's KV cache held; by default the clock's.")
    ] = None,
    serving: Serving = "",
    policy: Annotated[str, Parameter(help="The server's policy; vllm is its own order.")] = "vllm",
    seed: Annotated[int, integer_option("Draws arrivals where the result has no start times.")] = 0,
    json: Json = False,
) -> None:
    """Set a real benchmark beside the simulation of the same requests."""
    from kvolume.cli import console
    from kvolume.study.validate import validate as run

    found = run(result, clock, kv_tokens=kv_tokens, serving=serving, policy=policy, seed=seed)
    console.note(*found.bench.notes)
    print(found.to_json() if json else found.table(), end="")
