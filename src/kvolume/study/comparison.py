"""Several policies on one workload, and how far each is at most from the best possible."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvolume.clock import budget, parse_clock
from kvolume.study.defaults import DEFAULT_POLICIES, DEFAULT_SOURCE
from kvolume.study.spec import SERVERS, CompareSpec, version
from kvolume.study.workloads import prepare, served, shape
from kvolume.workload import Workload

if TYPE_CHECKING:
    from kvolume.bound import Bound
    from kvolume.engine import Result, ServingConfig

Progress = Callable[[str, int, int], None]  # what runs, requests done, requests in all

ROW = (
    "policy", "mean_latency", "p50", "p90", "p99", "p999", "max", "mean_per_token", "p95_per_token", "queued_share",
    "ratio_to_bound", "makespan", "kv_utilisation", "evictions", "injected", "finished", "rejected",
)  # fmt: skip
TIMINGS = ("wall_seconds", "requests_per_second")
EXTRA = ("running_or_waiting", "status", "label")


@dataclass(frozen=True, eq=False)
class Comparison:
    """The results of the policies of a spec on its workload, with the lower bound that all of them obey."""

    spec: CompareSpec
    workload: Workload = field(repr=False)
    bound: Bound | None  # None where no request fits the budget
    results: tuple[Result, ...] = field(repr=False)
    labels: tuple[str, ...]  # how to show each policy
    tight: Bound | None = None  # of schedules that interrupt nobody, where the spec asks for it

    @property
    def unit(self) -> str:
        """The unit of all latencies: `rounds` or `s`."""
        return self.results[0].unit

    @cached_property
    def load(self) -> float:
        """Offered KV volume over capacity of the requests that fit; infinite for a burst."""
        fitting = served(self.workload, self.spec.kv_tokens)
        return fitting.load(self.spec.kv_tokens, parse_clock(self.spec.clock)) if fitting else 0.0

    def bound_for(self, result: Result) -> Bound | None:
        """The best bound that holds for a result."""
        from kvolume.bound import uninterrupted

        return self.tight if self.tight is not None and uninterrupted(result) else self.bound

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One row of metrics per policy, in the order of the spec; None where nothing can be said."""
        return [self._row(*each) for each in zip(self.spec.policies, self.labels, self.results, strict=True)]

    @property
    def asked(self) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """The metrics of a server and the percentiles of them that were asked for; else all, and P50, P90, P99."""
        from kvolume.engine.metrics import METRICS, PERCENTILES, parse_metrics, parse_percentiles

        spec = self.spec
        metrics = parse_metrics(spec.percentile_metrics) if spec.percentile_metrics else METRICS
        return metrics, parse_percentiles(spec.metric_percentiles) if spec.metric_percentiles else PERCENTILES

    @cached_property
    def served_rows(self) -> list[dict[str, Any]]:
        """What `vllm bench serve` would report of each policy; empty unless the engine does what vLLM does."""
        if self.spec.engine not in SERVERS:
            return []
        from kvolume.engine.metrics import parse_goodput, serving_metrics

        limits = parse_goodput(self.spec.goodput) if self.spec.goodput else None
        metrics, percentiles = self.asked
        return [
            {"policy": row["policy"], "label": row["label"], "status": row["status"]}
            | serving_metrics(result, metrics=metrics, percentiles=percentiles, limits=limits)
            for row, result in zip(self.rows, self.results, strict=True)
        ]

    def to_dict(self, *, timings: bool = True) -> dict[str, Any]:
        """The comparison as one JSON-ready object; without `timings` the same spec gives the same object."""
        spec, bound, workload = self.spec, self.bound, self.workload
        return {
            "version": version(),
            "unit": self.unit,
            "workload": {
                "name": workload.name,
                "requests": len(workload),
                "load": self.load if math.isfinite(self.load) else None,
                "kv_tokens": spec.kv_tokens,
                "prompt_tokens": int(workload.prompt_tokens.sum()),
                "output_tokens": int(workload.output_tokens.sum()),
                "clock": spec.clock,
                "seed": spec.seed,
                "notes": list(workload.notes),
            },
            "bound": {
                "mean_latency": bound.mean_latency if bound else None,
                "kind": bound.kind if bound else None,
            } | self._tight_dict(),
            "policies": [{k: v for k, v in row.items() if timings or k not in TIMINGS} for row in self.rows],
        } | ({"serving": self.served_rows} if self.served_rows else {})

    def to_json(self, *, timings: bool = True) -> str:
        """`to_dict` as indented JSON."""
        return json.dumps(self.to_dict(timings=timings), indent=2, allow_nan=False) + "\n"

    def table(self, width: int = 100) -> str:
        """The comparison as a plain-text table of at most `width` columns where that is possible."""
        from kvolume.study.table import lines

        return "\n".join(line.text for line in lines(self, width)) + "\n"

    def _tight_dict(self) -> dict[str, Any]:
        tight = self.tight
        return {"tight": {"mean_latency": tight.mean_latency, "kind": tight.kind}} if tight else {}

    def _row(self, name: str, label: str, result: Result) -> dict[str, Any]:
        metrics = result.metrics()
        mean = metrics["mean_latency"]
        wall, bound = result.wall_seconds, self.bound_for(result)
        values = metrics | {
            "policy": name,
            "label": label,
            "ratio_to_bound": mean / bound.mean_latency if bound and mean is not None else None,
            "wall_seconds": wall,
            "requests_per_second": len(self.workload) / wall if wall > 0 else None,
        }
        return {key: values[key] for key in (*ROW, *TIMINGS, *EXTRA)}


def compare(
    source: str | Path | Workload = DEFAULT_SOURCE,
    policies: str | Iterable[str] = DEFAULT_POLICIES,
    *,
    kv_tokens: int | None = None,
    load: float | None = None,
    request_rate: float | None = None,
    burst: bool = False,
    arrivals: str | None = None,
    num_prompts: int | None = None,
    seed: int = 0,
    clock: str = "unit",
    predict: str | None = None,
    skip_oversized: bool = False,
    skip_bad_rows: bool = False,
    engine: str = "auto",
    serving: str = "",
    goodput: str | None = None,
    bound: str = "fast",
    percentile_metrics: str | None = None,
    metric_percentiles: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Run several policies on one workload of `kv_tokens` and set them against a proven lower bound.

    `source` is a Workload, a file or a built-in name; the other arguments are the options of `kvolume compare`.
    `progress(what, done, total)` is called now and then. Raises InputError, ParameterError or
    UnknownNameError before anything runs.
    """
    given = isinstance(source, Workload)
    spec = CompareSpec(
        source=source.name if isinstance(source, Workload) else str(source),
        policies=(policies,) if isinstance(policies, str) else tuple(policies),
        kv_tokens=budget(kv_tokens, parse_clock(clock)), load=load, request_rate=request_rate, burst=burst,
        arrivals=arrivals, num_prompts=num_prompts, seed=seed, clock=clock, predict=predict,
        skip_oversized=skip_oversized, skip_bad_rows=skip_bad_rows, engine=engine, serving=serving, goodput=goodput,
        bound=bound,
        percentile_metrics=percentile_metrics, metric_percentiles=metric_percentiles,
    )  # fmt: skip
    if not given:
        return run(spec, progress=progress)
    assert isinstance(source, Workload)
    if num_prompts is not None:
        from kvolume.workload.draw import draw

        source = draw(source, num_prompts, seed)
    return run(spec, shape(source, spec), progress=progress)


def run(spec: CompareSpec, workload: Workload | None = None, *, progress: Progress | None = None) -> Comparison:
    """Run a spec; `workload` stands for the one that the spec describes, where it is at hand already."""
    from kvolume.bound import lower_bound, tightest
    from kvolume.engine import simulate
    from kvolume.policy import parse

    if workload is None:
        workload = prepare(spec)
    kv_tokens, config = _served_by(spec)
    labels = tuple(str(getattr(parse(name), "label", name)) for name in spec.policies)
    results = tuple(
        simulate(
            workload, name, kv_tokens=kv_tokens, clock=spec.clock, serving=config,
            engine=spec.engine,  # type: ignore[arg-type]  # checked by the spec
            skip_oversized=spec.skip_oversized, progress=_named(progress, label),
        )
        for name, label in zip(spec.policies, labels, strict=True)
    )  # fmt: skip
    fitting = served(workload, kv_tokens, "engine" if config else "unit")
    bound = lower_bound(fitting, kv_tokens, clock=spec.clock, serving=config) if fitting is not None else None
    tight = None
    if fitting is not None and spec.bound == "tight":
        tight = tightest(fitting, kv_tokens, clock=spec.clock)
    return Comparison(spec, workload, bound, results, labels, tight)


def _served_by(spec: CompareSpec) -> tuple[int, ServingConfig | None]:
    """The budget, in whole blocks where vLLM's scheduler serves, and that scheduler's options."""
    if spec.engine not in SERVERS:
        return spec.kv_tokens, None
    from kvolume.engine.serving_config import check_servable, parse_serving, whole_blocks
    from kvolume.policy import parse

    for name in spec.policies:
        check_servable(parse(name))
    config = parse_serving(spec.serving)
    return whole_blocks(spec.kv_tokens, config), config


def _named(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total)
