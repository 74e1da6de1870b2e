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
    suppress_keyboard_interrupt=False,  # main() answers it
)
trace = App(name="trace", help="List, describe, generate, convert and fetch request traces.")
app.command(trace)
fit = App(name="fit", help="Fit what kvolume simulates with to a real engine.")
app.command(fit)
_VERBS = {
    "compare": "Compare policies on one workload, and each with the best that any schedule could do.",
    "simulate": "Simulate one policy: times per request, and a timeline to look at.",
    "sweep": "Latency against rate: policies over rates, KV budgets and seeds, and up to which rate each keeps up.",
    "certify": "Prove how low latency could be at best; for a log with finish times, how near it came.",
    "optimum": "Find the best schedule of a small workload by integer programming.",
    "reproduce": "Run a paper's experiment again, or attack a policy's guarantee.",
    "policies": "List the policies, or describe one.",
    "validate": "Set a real benchmark of vLLM beside the simulation of the same requests.",
    "serve": "Start `vllm serve` with kvolume's scheduler.",
}
_TRACE_VERBS = {
    "list": "List built-in workloads and the public traces that `fetch` knows.",
    "info": "Describe a workload: sizes, lengths, arrivals, load.",
    "generate": "Write a built-in workload to a file.",
    "convert": "Read a request log in any known format and write it in kvolume's own columns.",
    "fetch": "Download a public trace from its own home and check it.",
}
for _verb, _help in _VERBS.items():
    app.command(f"kvolume.cli.{_verb}:{_verb}", name=_verb, help=_help)
fit.command("kvolume.cli.fit:clock_", name="clock", help="Fit a clock to step logs, benchmarks or a probe of vLLM.")
for _verb, _help in _TRACE_VERBS.items():
    trace.command(f"kvolume.cli.trace:{_verb}_", name=_verb, help=_help)


def _source(type_: Any, tokens: Any) -> str:
    text = str(tokens[0].value)
    return "-" if text == STDIN else text


def _kv_tokens(type_: Any, tokens: Any) -> int:
    from kvolume.study.spec import kv_tokens

    return kv_tokens(str(tokens[0].value))


def _integer(type_: Any, tokens: Any) -> int:
    from kvolume.errors import ParameterError

    try:
        return int(tokens[0].value)  # cyclopts itself would round 1.5
    except ValueError:
        raise ParameterError(f"{tokens[0].keyword} must be an integer. Got '{tokens[0].value}' instead.") from None


def _path(type_: Any, tokens: Any) -> Path:
    from kvolume.errors import ParameterError

    if tokens[0].value == STDIN:
        raise ParameterError("'-' is understood for SOURCE only; give a file or folder here.")
    return Path(tokens[0].value)


WORKLOAD, OUTPUT = Group("Workload", sort_key=1), Group("Output", sort_key=3)

Source = Annotated[
    str,
    Parameter(help="A file, - for stdin, or a built-in workload (`kvolume trace list`).", converter=_source),
]
Policies = Annotated[
    tuple[str, ...],
    Parameter(
        help="A policy, such as svf or svf:share=0.1; repeat it for more.",
        negative=(),
        show_default=lambda names: ", ".join(names),
    ),
]
File = Annotated[Path, Parameter(converter=_path)]
Json = Annotated[
    bool,
    Parameter(
        help="Print one JSON object and nothing else on stdout.",
        negative=(),
        show_default=False,
        group=OUTPUT,
    ),
]
Force = Annotated[bool, Parameter(help="Replace what is there already.", negative=(), show_default=False, group=OUTPUT)]
Serving = Annotated[
    str, Parameter(help="Options of the server, such as max_num_seqs=256,watermark=0.01.", show_default=False)
]


def kv_tokens_option(text: str) -> Parameter:
    """A number of KV tokens with this help."""
    return Parameter(help=text, converter=_kv_tokens)


def integer_option(text: str, **more: Any) -> Parameter:
    """A whole number with this help."""
    return Parameter(help=text, converter=_integer, **more)


def option(text: str, **more: Any) -> Parameter:
    """A workload option with this help."""
    return Parameter(help=text, group=WORKLOAD, negative=(), **more)


def flag(text: str) -> Parameter:
    """A workload option that is on or off."""
    return option(text, show_default=False)


Bound = Annotated[
    Literal["fast", "tight"],
    Parameter(
        help="How to bound the optimum: fast, for every policy; tight, seconds more, where nobody is interrupted."
    ),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Workload:
    """The options that shape a workload."""

    kv_tokens: Annotated[
        int | None,
        option(f"KV cache budget in tokens; {DEFAULT_KV_TOKENS}, or what the clock's GPU holds.", converter=_kv_tokens),
    ] = None
    load: Annotated[float | None, option("Scale arrivals to this offered KV volume over capacity.")] = None
    request_rate: Annotated[float | None, option("Scale arrivals to this many requests per second.")] = None
    burst: Annotated[bool, flag("Let all requests arrive at time 0.")] = False
    arrivals: Annotated[str | None, option("recorded, poisson, gamma:cv=2 or onoff:on=..,off=...")] = None
    num_prompts: Annotated[int | None, option("Draw this many requests, with the seed.", converter=_integer)] = None
    seed: Annotated[int, option("Seed of everything that is drawn.", converter=_integer)] = 0
    clock: Annotated[
        str | None,
        option("unit:seconds=0.03 (of a round; the default), linear:base=8e-3,..., roofline:model=..,gpu=.. or a fit"),
    ] = None
    predict: Annotated[str | None, option("What policies know of lengths: exact, noise:sigma=0.5, ...")] = None
    skip_oversized: Annotated[bool, flag("Count requests that can never fit as rejected.")] = False
    skip_bad_rows: Annotated[bool, flag("Leave out rows that cannot be used, and count them.")] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Engine:
    """The options that say what serves the workload, and which numbers are wanted of it."""

    engine: Annotated[
        Literal["auto", "rounds", "leap", "serving", "serving-steps", "vllm"],
        Parameter(help="Rounds, a server that does what vLLM does, or the installed vLLM's own scheduler."),
    ] = "auto"
    serving: Serving = ""
    goodput: Annotated[
        str | None, Parameter(help="Limits in ms that make a request good, such as 'ttft:500 tpot:50'.")
    ] = None
    percentile_metrics: Annotated[
        str | None, Parameter(help="Metrics of the server to show, of ttft,tpot,itl,e2el.")
    ] = None
    metric_percentiles: Annotated[str | None, Parameter(help="Percentiles of them, such as 50,90,99.")] = None


def spec_of(source: str, options: Workload | None, engine: Engine | None = None, **more: Any) -> CompareSpec:
    """The checked spec of a source and its options."""
    from dataclasses import asdict

    from kvolume.study.spec import CompareSpec

    values = asdict(options or Workload())
    values["clock"] = values["clock"] or "unit"
    values["kv_tokens"] = _budget(values["kv_tokens"], values["clock"])
    return CompareSpec(source=source, **values, **asdict(engine or Engine()), **more)


def _budget(kv_tokens: int | None, clock: str) -> int:
    """The budget given, or the clock's; without reading the clock where nothing depends on it."""
    if kv_tokens is not None or clock.startswith(("unit", "linear")):
        return DEFAULT_KV_TOKENS if kv_tokens is None else kv_tokens
    from kvolume.clock import budget, parse_clock

    return budget(None, parse_clock(clock))


__all__ = [
    "DEFAULT_SOURCE",
    "STDIN",
    "Bound",
    "Engine",
    "File",
    "Force",
    "Json",
    "Policies",
    "Serving",
    "Source",
    "Workload",
    "app",
    "integer_option",
    "kv_tokens_option",
    "spec_of",
    "trace",
]
