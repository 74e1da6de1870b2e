"""The application: which verbs there are, and what the options that they share mean.

Nothing here, and nothing at the top of a verb's file, imports NumPy or an engine: `--help` must be quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from kvolume.study.defaults import DEFAULT_KV_TOKENS, DEFAULT_SOURCE

if TYPE_CHECKING:
    from kvolume.study.spec import CompareSpec

STDIN = "<stdin>"


def _version() -> str:
    from importlib.metadata import version

    return version("kvolume")


app = App(
    name="kvolume",
    help="Which LLM request starts next? Compare policies on a request log, exactly, with a proven lower bound.",
    help_format="plaintext",
    version=_version,
)
trace = App(name="trace", help="List, describe, generate, convert and fetch request traces.")
app.command(trace)
for _verb in ("compare", "simulate", "certify", "optimum", "policies"):
    app.command(f"kvolume.cli.{_verb}:{_verb}", name=_verb)
for _verb in ("list", "info", "generate", "convert", "fetch"):
    trace.command(f"kvolume.cli.trace:{_verb}_", name=_verb)


def _source(type_: Any, tokens: Any) -> str:
    text = str(tokens[0].value)
    return "-" if text == STDIN else text


def _kv_tokens(type_: Any, tokens: Any) -> int:
    from kvolume.study.spec import kv_tokens

    return kv_tokens(str(tokens[0].value))


def _path(type_: Any, tokens: Any) -> Path:
    from kvolume.errors import ParameterError

    if tokens[0].value == STDIN:
        raise ParameterError("'-' is understood for SOURCE only; give a file or folder here.")
    return Path(tokens[0].value)


WORKLOAD, OUTPUT = Group("Workload", sort_key=1), Group("Output", sort_key=3)

Source = Annotated[str, Parameter(help="A file, - for stdin, or a built-in workload (`kvolume trace list`).", converter=_source)]
File = Annotated[Path, Parameter(converter=_path)]
Json = Annotated[bool, Parameter(help="Print one JSON object and nothing else on stdout.", negative=(), group=OUTPUT)]
Force = Annotated[bool, Parameter(help="Replace what is there already.", negative=(), group=OUTPUT)]
Engine = Annotated[Literal["auto", "rounds", "leap"], Parameter(help="The engine: the specification or the fast kernel.")]


def option(text: str) -> Parameter:
    """A workload option with this help."""
    return Parameter(help=text, group=WORKLOAD, negative=())


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Workload:
    """The options that shape a workload."""

    kv_tokens: Annotated[int, option("KV cache budget in tokens."), Parameter(converter=_kv_tokens)] = DEFAULT_KV_TOKENS
    load: Annotated[float | None, option("Scale arrivals to this offered KV volume over capacity.")] = None
    request_rate: Annotated[float | None, option("Scale arrivals to this many requests per second.")] = None
    burst: Annotated[bool, option("Let all requests arrive at time 0.")] = False
    arrivals: Annotated[str | None, option("recorded, poisson, gamma:cv=2 or onoff:on=..,off=...")] = None
    num_prompts: Annotated[int | None, option("Draw this many requests, with the seed.")] = None
    seed: Annotated[int, option("Seed of everything that is drawn.")] = 0
    clock: Annotated[str, option("unit, unit:seconds=0.03 (of a round) or linear:base=8e-3,...")] = "unit"
    predict: Annotated[str | None, option("What policies know of lengths: exact, noise:sigma=0.5, ...")] = None
    skip_oversized: Annotated[bool, option("Count requests that can never fit as rejected.")] = False
    skip_bad_rows: Annotated[bool, option("Leave out rows that cannot be used, and count them.")] = False


def spec_of(source: str, options: Workload | None, **more: Any) -> CompareSpec:
    """The checked spec of a source and its options."""
    from dataclasses import asdict

    from kvolume.study.spec import CompareSpec

    return CompareSpec(source=source, **asdict(options or Workload()), **more)


__all__ = ["DEFAULT_SOURCE", "STDIN", "Engine", "File", "Force", "Json", "Source", "Workload", "app", "spec_of", "trace"]
