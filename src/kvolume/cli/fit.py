"""`kvolume fit clock`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from kvolume.cli.app import OUTPUT, File, Force, Json, kv_tokens_option


def clock_(
    *files: Annotated[File, Parameter(help="Step logs, or results of `vllm bench serve --save-detailed`.")],
    name: Annotated[
        str | None, Parameter(help="Save as the clock of this name, or in a .json file.", group=OUTPUT)
    ] = None,
    probe: Annotated[bool, Parameter(help="Measure the vLLM that is installed here.", negative=())] = False,
    model: Annotated[str | None, Parameter(help="Model of --probe: a folder or a name.")] = None,
    vllm_args: Annotated[
        str,
        Parameter(help="Arguments of vLLM for --probe, in one string.", show_default=False, allow_leading_hyphen=True),
    ] = "",
    kv_tokens: Annotated[
        int | None, kv_tokens_option("Tokens that the server's KV cache holds, where the files do not say it.")
    ] = None,
    json: Json = False,
    force: Force = False,
) -> None:
    """Fit the costs of a step to a real run: step logs, benchmarks at several rates, or a probe of the local vLLM."""
    from kvolume.cli import console
    from kvolume.profiles import to_json
    from kvolume.study import fit

    fit.check_name(name, force=force)
    if probe:
        from kvolume.vllm.probe import fit_probe

        with console.progress() as progress:
            found = fit_probe(model, vllm_args, files, progress)
    else:
        found = fit.fit_files(files, kv_tokens)
    console.note(*found.notes)
    print(to_json(found.profile) if json else fit.text(found), end="")
    if name is not None:
        console.paths([fit.save(found, name, force=force)], to_stderr=json)
