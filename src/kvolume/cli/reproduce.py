"""`kvolume reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kvolume.cli.app import OUTPUT, File, Force, Json, integer_option


def reproduce(
    name: Annotated[
        str | None, Parameter(help="An experiment, adversary or all; without it, the experiments are listed.")
    ] = None,
    /,
    *,
    policy: Annotated[str, Parameter(help="The policy that the adversary attacks.")] = "svf",
    trials: Annotated[int | None, integer_option("Random instances (random starts of the adversary).")] = None,
    seed: Annotated[int, integer_option("Seed of everything that is drawn.")] = 0,
    json: Json = False,
    out: Annotated[File, Parameter(help="Folder for results and charts.", group=OUTPUT)] = Path("results"),
    force: Force = False,
) -> None:
    """Run a paper's experiment again, published numbers beside ours; or attack a policy's guarantee."""
    from kvolume.cli import console
    from kvolume.reproduce import catalogue, folder, render
    from kvolume.reproduce.experiment import Options

    if name is None:
        print(catalogue.listing(), end="")
        return
    with console.progress() as progress:
        if name == "adversary":
            from kvolume.reproduce.adversary import attack

            finds = attack(policy, trials=200 if trials is None else trials, seed=seed, progress=progress)
            print(render.finds_json(policy, finds) if json else render.finds_text(policy, finds), end="")
            return
        options: dict[str, int | None] = {"trials": trials, "seed": seed}
        if name == "all":
            took = folder.run_all(out, options, force=force, progress=progress)
            print(render.summary_json(took) if json else render.summary(took), end="")
            console.paths([folder.write_page(out)], to_stderr=json)
            return
        outcome = catalogue.run(name, Options(trials, seed, progress))
    written, notes = folder.write(outcome, out, options)
    print(outcome.to_json() if json else render.outcome_text(outcome), end="")
    console.note(*notes)
    console.paths(written, to_stderr=json)
