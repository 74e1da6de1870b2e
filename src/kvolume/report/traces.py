"""Workloads described: the built-in ones, the public traces, and one at hand."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from kvolume.clock import parse_clock
from kvolume.geometry import peak
from kvolume.report.sentence import digits
from kvolume.study.spec import CompareSpec
from kvolume.workload import Workload
from kvolume.workload.fetch import TRACES
from kvolume.workload.synthetic import facts, names

QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}


def list_text() -> str:
    """Built-in workloads and public traces, one a line."""
    wide = max(map(len, (*names(), *TRACES)))
    out = [f"{'built-in workload'.ljust(wide)}  prompt  output  requests/s  arrivals"]
    for name in names():
        known = facts(name)
        times = known.get("arrivals")
        rate = f"{times['rate']:.3g}" if times else "–"
        process = times["process"] if times else "none: --load and --request-rate give Poisson ones"
        prompt, output = known["prompt"]["mean"], known["output"]["mean"]
        out.append(f"{name.ljust(wide)}  {prompt:6,.0f}  {output:6,.0f}  {rate:>10}  {process}")
    out += ["(mean tokens)", "", f"{'public trace'.ljust(wide)}  licence     attribution"]
    out += [f"{name.ljust(wide)}  {trace.licence.ljust(10)}  {trace.attribution}" for name, trace in TRACES.items()]
    return "\n".join([*out, "", "`kvolume trace fetch NAME` downloads a public trace from its own home."]) + "\n"


def list_json() -> str:
    """The same as one JSON object, with every published fact."""
    public = {
        name: {"url": t.url, "sha256": t.sha256, "licence": t.licence, "attribution": t.attribution}
        for name, t in TRACES.items()
    }
    return json.dumps({"built_in": {name: facts(name) for name in names()}, "public": public}, indent=2) + "\n"


def describe(workload: Workload, spec: CompareSpec) -> dict[str, Any]:
    """Sizes, lengths, arrivals and load of a workload, ready for JSON; None where nothing is known."""
    s, o = workload.prompt_tokens, workload.output_tokens
    out: dict[str, Any] = {
        "name": workload.name,
        "requests": len(workload),
        "prompt_tokens": _quantiles(s),
        "output_tokens": _quantiles(o),
        "peak_kv_tokens": _quantiles(peak(s, o)),
        "kv_volume": _quantiles(workload.volumes()),
        "arrivals": None,
        "load": None,
        "kv_tokens": spec.kv_tokens,
    }
    times = workload.arrival_s if workload.arrival_s is not None else workload.arrival
    if times is not None:
        gaps = np.diff(np.sort(times)).astype(float)
        span = float(times.max() - times.min())
        mean = float(gaps.mean()) if gaps.size else 0.0
        out["arrivals"] = {
            "unit": workload.unit,
            "span": span,
            "rate": (len(workload) - 1) / span if span else None,
            "gap_cv": float(gaps.std() / mean) if mean else None,
        }
        clock = parse_clock(spec.clock)
        load = workload.load(spec.kv_tokens, clock)
        out["load"] = load if math.isfinite(load) else None
    return out


def info_json(workload: Workload, spec: CompareSpec) -> str:
    """`describe` as JSON."""
    return json.dumps(describe(workload, spec), indent=2) + "\n"


def info_text(workload: Workload, spec: CompareSpec) -> str:
    """`describe` as a small table."""
    facts = describe(workload, spec)
    out = [f"{facts['name']}: {facts['requests']:,} requests", ""]
    out.append(f"{'':16}{'mean':>13}{'P50':>13}{'P90':>13}{'P99':>13}{'max':>13}")
    for key in ("prompt_tokens", "output_tokens", "peak_kv_tokens", "kv_volume"):
        cells = "".join(f"{digits(facts[key][q]):>13}" for q in ("mean", *QUANTILES))
        out.append(f"{key.replace('_', ' ').replace('kv', 'KV'):16}{cells}")
    times = facts["arrivals"]
    out.append("")
    if times is None:
        return "\n".join([*out, "No arrival times: --load or --request-rate gives Poisson ones, --burst none."]) + "\n"
    unit = "seconds" if times["unit"] == "s" else "rounds"
    if times["rate"] is None:
        return "\n".join([*out, "All requests arrive at once."]) + "\n"
    out.append(
        f"Arrivals over {digits(times['span'])} {unit}: {times['rate']:.3g} per {unit[:-1]}, coefficient of variation "
        f"of the gaps {times['gap_cv']:.3g}."
    )
    if facts["load"] is not None:
        out.append(f"Load on {spec.kv_tokens:,} KV tokens, clock {spec.clock}: {facts['load']:.3g}.")
    return "\n".join(out) + "\n"


def _quantiles(values: Any) -> dict[str, float]:
    found = np.percentile(values, list(QUANTILES.values())).tolist()
    return {"mean": float(np.mean(values))} | dict(zip(QUANTILES, found, strict=True))
