"""The same comparison with several seeds: what is drawn, arrivals, predictions; means with their intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kvolume.errors import ParameterError
from kvolume.study.comparison import ROW, Progress, run
from kvolume.study.interval import CONFIDENCE, Interval, interval
from kvolume.study.spec import CompareSpec, version
from kvolume.study.workloads import prepare
from kvolume.workload import Workload

METHOD = f"mean over the seeds, with Student's {CONFIDENCE:.0%} confidence interval: mean ± half_width"
Rows = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Replicated:
    """What the policies of a spec give with each of several seeds; the seed of the spec is the first."""

    spec: CompareSpec
    name: str  # of the workload
    requests: int
    loads: tuple[float, ...]  # a seed each
    unit: str
    runs: tuple[Rows, ...] = field(repr=False)  # the rows of each comparison
    served: tuple[Rows, ...] = field(repr=False)  # and its numbers of a server, maybe empty
    asked: tuple[tuple[str, ...], tuple[float, ...]] = field(repr=False)  # metrics of a server, percentiles

    @property
    def rows(self) -> Rows:
        """As `Comparison.rows`, with an Interval for each number; None where a seed has none."""
        return _over_seeds(self.runs, ROW[1:])

    @property
    def served_rows(self) -> Rows:
        """As `Comparison.served_rows`, with intervals."""
        rows = [rows for rows in self.served if rows]
        return _over_seeds(rows, [k for k in rows[0][0] if k not in ("policy", "label", "status")]) if rows else []

    def wins(self, row: int) -> int:
        """With how many seeds a policy has the lowest mean latency (ties count)."""
        means = [[math.inf if r["mean_latency"] is None else r["mean_latency"] for r in rows] for rows in self.runs]
        return sum(seed[row] == min(seed) < math.inf for seed in means)

    def to_json(self) -> str:
        """One JSON object: of each number `mean`, `half_width` of the interval, and `values`, a seed each."""
        spec = self.spec
        finite = [load for load in self.loads if math.isfinite(load)]
        body = {
            "version": version(), "unit": self.unit, "interval": METHOD,
            "seeds": list(range(spec.seed, spec.seed + len(self.runs))),
            "workload": {
                "name": self.name, "requests": self.requests, "load": finite or None, "kv_tokens": spec.kv_tokens,
                "clock": spec.clock,
            },
            "policies": [_plain(row, self.runs, i) for i, row in enumerate(self.rows)],
        }  # fmt: skip
        if self.served_rows:
            body["serving"] = [_plain(row, self.served, i) for i, row in enumerate(self.served_rows)]
        return json.dumps(body, indent=2, allow_nan=False) + "\n"


def replicate(spec: CompareSpec, seeds: int, *, progress: Progress | None = None) -> Replicated:
    """Run a spec with `seeds` seeds, counting up from its own. Raises ParameterError where no seed matters."""
    if seeds < 2:
        raise ParameterError(f"The number of seeds must be at least 2 to give intervals. Got {seeds} instead.")
    workloads = [prepare(replace(spec, seed=spec.seed + k)) for k in range(seeds)]
    if all(_same(workloads[0], other) for other in workloads[1:]):
        raise ParameterError(
            f"--seeds {seeds} would run the same requests {seeds} times: nothing of '{spec.source}' is drawn. Draw "
            "with --num-prompts, --arrivals or --predict, or leave --seeds out."
        )
    made = [run(replace(spec, seed=spec.seed + k), w, progress=progress) for k, w in enumerate(workloads)]
    first = made[0]
    return Replicated(
        spec, first.workload.name, len(first.workload), tuple(c.load for c in made), first.unit,
        tuple(c.rows for c in made), tuple(c.served_rows for c in made), first.asked,
    )  # fmt: skip


def _over_seeds(runs: Sequence[Rows], keys: Sequence[str]) -> Rows:
    out = []
    for i, row in enumerate(runs[0]):
        status = next((rows[i]["status"] for rows in runs if rows[i]["status"] != "finished"), "finished")
        numbers: dict[str, Interval | None] = {}
        for key in keys:
            values = [rows[i][key] for rows in runs]
            numbers[key] = None if None in values else interval(values)
        out.append({"policy": row["policy"], "label": row["label"], "status": status} | numbers)
    return out


def _plain(row: dict[str, Any], runs: Sequence[Rows], i: int) -> dict[str, Any]:
    return {
        key: {"mean": value.mean, "half_width": value.half, "values": [rows[i][key] for rows in runs]}
        if isinstance(value, Interval) else value
        for key, value in row.items()
    }  # fmt: skip


def _same(one: Workload, other: Workload) -> bool:
    columns = ("arrival", "arrival_s", "prompt_tokens", "output_tokens", "predicted")
    return all(np.array_equal(getattr(one, c), getattr(other, c)) for c in columns)
