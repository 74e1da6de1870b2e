"""A real benchmark beside the simulation of the same requests: one table, vLLM | kvolume | difference."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kvolume.clock import Clock, budget, parse_clock
from kvolume.errors import InputError
from kvolume.profiles import Profile, is_profile, load, named
from kvolume.study.bench import Bench, read_bench
from kvolume.study.spec import version

METRICS = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2el": "E2EL"}
STATISTICS = ("mean", "median", "p90", "p95", "p99")
PERCENTILES = (90, 95, 99)


@dataclass(frozen=True)
class Validation:
    """What was measured and what was simulated, in ms, under the keys of `vllm bench serve`."""

    bench: Bench
    clock: str
    policy: str
    kv_tokens: int
    serving: str
    front_end_ms: float
    measured: dict[str, float | None]
    simulated: dict[str, float | None]
    throughput: tuple[float, float]  # output tokens per second

    @property
    def differences(self) -> dict[str, float | None]:
        """(simulated - measured) / measured, in percent."""
        return {
            key: None if (x := self.measured[key]) is None or (y := self.simulated[key]) is None or x == 0
            else 100 * (y - x) / x
            for key in self.measured
        }  # fmt: skip

    def to_json(self) -> str:
        """One JSON object."""
        bench = self.bench
        about = {k: bench.known.get(k) for k in ("model_id", "date", "request_rate", "burstiness", "max_concurrency")}
        return json.dumps({
            "version": version(), "result": bench.name, "requests": int(bench.start.size), "failed": bench.failed,
            "benchmark": {k: v if not isinstance(v, float) or np.isfinite(v) else str(v) for k, v in about.items()},
            "clock": self.clock, "policy": self.policy, "kv_tokens": self.kv_tokens, "serving": self.serving,
            "front_end_ms": self.front_end_ms,
            "output_throughput": dict(zip(("vllm", "kvolume"), self.throughput, strict=True)),
            "metrics": {
                key: {"vllm": self.measured[key], "kvolume": self.simulated[key], "difference_percent": off}
                for key, off in self.differences.items()
            },
            "notes": list(bench.notes),
        }, indent=2, allow_nan=False) + "\n"  # fmt: skip

    def table(self) -> str:
        """The table, under a heading that says what was simulated."""
        outside = f"; {self.front_end_ms:.3g} ms outside the engine" if self.front_end_ms else ""
        simulated = f"policy {self.policy}, clock {self.clock}, {self.kv_tokens:,} KV tokens"
        out = [
            f"{self.bench.name}: {self.bench.start.size:,} requests; {simulated}",
            f"server: {self.serving or 'the defaults of vllm serve'}{outside}",
            "",
            f"{'':<14}{'vLLM':>12}{'kvolume':>12}{'difference %':>15}",
        ]
        for name, shown in METRICS.items():
            for statistic in STATISTICS:
                key = f"{statistic}_{name}_ms"
                cells = (_cell(self.measured[key]), _cell(self.simulated[key]), _signed(self.differences[key]))
                label = f"{shown} {statistic.replace('p', 'P')}" if statistic[0] == "p" else f"{shown} {statistic}"
                out.append(f"{label:<14}{cells[0]:>12}{cells[1]:>12}{cells[2]:>15}")
        real, ours = self.throughput
        out.append(f"{'tokens/s':<14}{real:>12,.0f}{ours:>12,.0f}{_signed(100 * (ours - real) / real):>15}")
        return "\n".join(out) + "\n\nTTFT, TPOT, ITL and E2EL in ms; output tokens per second.\n"


def validate(
    path: Path, clock: str, *, kv_tokens: int | None = None, serving: str = "", policy: str = "vllm", seed: int = 0
) -> Validation:
    """Simulate the requests of a detailed result of `vllm bench serve`, sent when they really were.

    `kv_tokens` and options of the server are those of the clock's profile unless given. Requests are known only by
    their lengths: prefix caching is not seen. Raises InputError, ParameterError or UnknownNameError.
    """
    from kvolume.engine import simulate
    from kvolume.engine.metrics import serving_metrics

    profile = profile_of(clock)
    chosen: Clock = parse_clock(clock)
    bench = read_bench(path, seed)
    options = ",".join(filter(None, (_without(profile.serving if profile else "", serving), serving)))
    tokens = budget(kv_tokens, chosen)
    result = simulate(bench.workload(), policy, kv_tokens=tokens, clock=chosen, engine="serving", serving=options)
    if result.status != "finished":
        raise InputError(f"The simulation of '{path}' does not finish ({result.status}): is the KV cache too small?")
    outside = 1e3 * profile.front_end if profile else 0.0
    simulated = serving_metrics(result, percentiles=PERCENTILES)
    keys = [f"{statistic}_{name}_ms" for name in METRICS for statistic in STATISTICS]
    shifted = {
        key: None if simulated[key] is None else simulated[key] + outside * ("ttft" in key or "e2el" in key)
        for key in keys
    }
    duration = float((bench.start + bench.e2el).max())
    rates = (float(bench.output.sum()) / duration, float(simulated["output_throughput"]))
    return Validation(bench, clock, policy, result.kv_tokens, options, outside, measured(bench), shifted, rates)


def measured(bench: Bench) -> dict[str, float | None]:
    """The numbers of the benchmark in ms, by vLLM's formulas (calculate_metrics in vllm/benchmarks/serve.py)."""
    out: dict[str, float | None] = {}
    for name, values in (("ttft", bench.ttft), ("tpot", bench.tpot), ("itl", bench.gaps), ("e2el", bench.e2el)):
        ms = values * 1e3
        found: list[Any] = [None] * len(STATISTICS)
        if ms.size:
            found = [float(ms.mean()), float(np.median(ms)), *map(float, np.percentile(ms, PERCENTILES))]
        out |= {f"{statistic}_{name}_ms": x for statistic, x in zip(STATISTICS, found, strict=True)}
    return out


def profile_of(clock: str) -> Profile | None:
    """The profile behind a clock's name, if there is one."""
    if is_profile(clock):
        return load(clock.removeprefix("profile:"))
    return load(clock) if ":" not in clock and named(clock) else None


def _without(options: str, others: str) -> str:
    """The options of `options` that `others` does not give."""
    taken = {part.partition("=")[0].strip() for part in others.split(",")}
    return ",".join(part for part in options.split(",") if part.partition("=")[0].strip() not in taken)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"
