"""What a comparison is made of, as one checked value that goes to JSON and back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kvolume.clock import Clock, parse_clock
from kvolume.errors import InputError, ParameterError, unknown_name
from kvolume.study.defaults import DEFAULT_KV_TOKENS, DEFAULT_POLICIES, DEFAULT_SOURCE, MOST_KV_TOKENS

BOUNDS = ("fast", "tight")
SERVERS = ("serving", "serving-steps", "vllm")  # engines that do what vLLM does
ENGINES = ("auto", "rounds", "leap", *SERVERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSpec:
    """A workload, a budget and the policies to compare on it. Checked when made.

    `source` is a path, `-` (standard input) or the name of a built-in workload; `load` is offered KV volume over
    capacity, `request_rate` is in requests per second, `arrivals` is `recorded`, `poisson`, `gamma:cv=..` or
    `onoff:..`; None leaves a choice to the source. `goodput`, `percentile_metrics` and `metric_percentiles` are those
    of `vllm bench serve`. Raises ParameterError or UnknownNameError.
    """

    source: str = DEFAULT_SOURCE
    policies: tuple[str, ...] = DEFAULT_POLICIES
    kv_tokens: int = DEFAULT_KV_TOKENS
    load: float | None = None
    request_rate: float | None = None
    burst: bool = False
    arrivals: str | None = None
    num_prompts: int | None = None
    seed: int = 0
    clock: str = "unit"
    predict: str | None = None
    skip_oversized: bool = False
    skip_bad_rows: bool = False
    engine: str = "auto"
    serving: str = ""
    goodput: str | None = None
    bound: str = "fast"
    percentile_metrics: str | None = None
    metric_percentiles: str | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        if not self.source:
            raise ParameterError("The source is empty: give a file, '-' or the name of a built-in workload.")
        kv_tokens(self.kv_tokens)
        _positive(self.load, "load", "offered KV volume over capacity, such as 0.97")
        _positive(self.request_rate, "request rate", "requests per second; --burst is the infinite rate")
        _whole(self.num_prompts, "number of prompts", least=1)
        _whole(self.seed, "seed", least=0)
        chosen = {"--load": self.load, "--request-rate": self.request_rate, "--burst": self.burst or None}
        given = [name for name, value in chosen.items() if value is not None]
        if len(given) > 1:
            raise ParameterError(f"{' and '.join(given)} exclude each other: each of them sets when requests arrive.")
        if self.burst and self.arrivals is not None:
            raise ParameterError(f"--burst and --arrivals {self.arrivals} exclude each other: a burst arrives at once.")
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES)
        _check_serving(self)
        check_bound(self.bound, parse_clock(self.clock), serving=self.engine in SERVERS)
        _check_arrivals(self.arrivals)
        _check_policies(self.policies)
        if self.predict is not None:
            from kvolume import predict

            predict.parse(self.predict)

    def to_json(self) -> str:
        """The spec as indented JSON, with the version that wrote it."""
        return json.dumps({"study": "compare", "version": version()} | asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "spec") -> CompareSpec:
        """The spec that `to_json` wrote. Raises InputError, ParameterError or UnknownNameError."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise InputError(
                f"{where} is not JSON: {error}. Give a spec.json that `kvolume compare --out` wrote."
            ) from None
        if not isinstance(values, dict):
            raise InputError(f"{where} must hold one JSON object. Got {_json_kind(values)} instead.")
        values = dict(values)
        study = values.pop("study", "compare")
        values.pop("version", None)
        if study != "compare":
            raise InputError(f"{where} describes a study '{study}', but 'compare' is expected.")
        known = {f.name for f in fields(cls)}
        for key in values:
            if key not in known:
                raise unknown_name(f"key of {where}", key, known)
        if isinstance(values.get("policies"), list):
            values["policies"] = tuple(values["policies"])
        return cls(**values)


def only_spec(path: Path, given: CompareSpec) -> CompareSpec:
    """The spec in the file `path`. Raises ParameterError where `given`, made of options, says something too."""
    for field in fields(given):
        if getattr(given, field.name) != field.default:
            name = {"source": "SOURCE", "policies": "--policy"}.get(field.name, f"--{field.name.replace('_', '-')}")
            raise ParameterError(f"--spec and {name} exclude each other: edit '{path}', or leave --spec out.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--spec '{path}' cannot be read: {getattr(error, 'strerror', '') or 'not text'}.") from None
    return CompareSpec.from_json(text, str(path))


def version() -> str:
    """The installed version of kvolume."""
    from importlib.metadata import version as installed

    return installed("kvolume")


def kv_tokens(value: str | int) -> int:
    """A KV budget in tokens, 1 to 10^9. Raises ParameterError, with the plain number where a unit was given."""
    allowed = f"The KV budget must be a plain number of tokens, 1 to {MOST_KV_TOKENS} (10^9)."
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(r"[+-]?\d[\d_]*", text):
            hint = _without_unit(text)
            raise ParameterError(f"{allowed} Got '{value}' instead.{f' Did you mean {hint}?' if hint else ''}")
        value = int(text)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_KV_TOKENS:
        raise ParameterError(f"{allowed} Got {value!r} instead.")
    return value


def _without_unit(text: str) -> int | None:
    """The token count that `128k` (a context of 131072), `131072MB`, `131,072` or `1e5` may have meant."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([a-z]*)", text.lower().replace(",", "").replace("_", ""))
    if not match:
        return None
    factor = {"k": 1024, "m": 10**6}.get(match[2], 1)
    count = round(float(match[1]) * factor)
    return count if 1 <= count <= MOST_KV_TOKENS else None


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "str": ("a string", lambda v: isinstance(v, str)),
    "str | None": ("a string or null", lambda v: v is None or isinstance(v, str)),
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "int": ("an integer", lambda v: isinstance(v, int) and not isinstance(v, bool)),
    "int | None": (
        "an integer or null",
        lambda v: v is None or (isinstance(v, int) and not isinstance(v, bool)),
    ),
    "float | None": (
        "a number or null",
        lambda v: v is None or (isinstance(v, int | float) and not isinstance(v, bool)),
    ),
    "tuple[str, ...]": (
        "a list of strings",
        lambda v: isinstance(v, tuple) and all(isinstance(x, str) for x in v),
    ),
}


def _check_types(spec: CompareSpec) -> None:
    for field in fields(spec):
        wanted, fits = _KINDS[str(field.type)]
        value = getattr(spec, field.name)
        if not fits(value):
            raise ParameterError(f"'{field.name}' must be {wanted}. Got {value!r} instead.")


def _check_policies(policies: tuple[str, ...]) -> None:
    from kvolume import policy

    if not policies:
        raise ParameterError("No policy is given: name at least one, such as svf.")
    for i, name in enumerate(policies):
        if "," in name.partition(":")[0]:
            several = " ".join(f"--policy {part.strip()}" for part in name.split(",") if part.strip())
            raise ParameterError(
                f"The policy '{name}' has a comma in its name; commas part parameters. Write {several}."
            )
        policy.parse(name)
        if name in policies[:i]:
            raise ParameterError(f"The policy '{name}' is given twice. Name each policy once.")


def _check_serving(spec: CompareSpec) -> None:
    if spec.engine not in SERVERS:
        for name in ("serving", "goodput", "percentile_metrics", "metric_percentiles"):
            if getattr(spec, name):
                option = f"--{name.replace('_', '-')}"
                raise ParameterError(f"{option} needs --engine serving. Got --engine {spec.engine} instead.")
        return
    from kvolume.engine.metrics import parse_goodput, parse_metrics, parse_percentiles
    from kvolume.engine.serving_config import parse_serving

    parse_serving(spec.serving)
    if spec.goodput is not None:
        parse_goodput(spec.goodput)
    if spec.percentile_metrics is not None:
        parse_metrics(spec.percentile_metrics)
    if spec.metric_percentiles is not None:
        parse_percentiles(spec.metric_percentiles)


def check_bound(bound: str, clock: Clock, *, serving: bool = False) -> None:
    """Raise UnknownNameError for a bound that does not exist, ParameterError where `tight` does not apply."""
    if bound not in BOUNDS:
        raise unknown_name("bound", bound, BOUNDS)
    if bound == "tight" and (serving or not clock.unit):
        what = "the engine 'serving'" if serving else f"the clock '{clock.name}'"
        raise ParameterError(f"--bound tight holds in rounds of equal length only, not for {what}: use --bound fast.")


def _check_arrivals(arrivals: str | None) -> None:
    if arrivals is None or arrivals == "recorded":
        return
    import numpy as np

    from kvolume.workload.arrivals import gaps

    gaps(arrivals, 2, np.random.default_rng(0))


def _positive(value: float | None, name: str, meaning: str) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise ParameterError(f"The {name} must be a number above 0 ({meaning}). Got {value!r} instead.")


def _whole(value: int | None, name: str, *, least: int) -> None:
    if value is not None and value < least:
        raise ParameterError(f"The {name} must be an integer of at least {least}. Got {value!r} instead.")


def _json_kind(value: object) -> str:
    return {list: "a list", str: "a string", type(None): "null"}.get(type(value), "a number")
