"""What `vllm bench serve` would report of a result: the same names, formulas and JSON keys.

TTFT is first token - arrival, E2EL finish - arrival, TPOT (E2EL - TTFT) / (output tokens - 1) for each request that
makes more than one token, ITL every gap between two tokens of a request, pooled over all requests. So a mean TPOT is
over requests and a mean ITL over gaps. Percentiles interpolate linearly, standard deviations are the population's.
Source: calculate_metrics in vllm/benchmarks/serve.py (0.32).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.engine.result import Result
from kvolume.errors import ParameterError, unknown_name
from kvolume.text import number

Floats = npt.NDArray[np.float64]

METRICS = ("ttft", "tpot", "itl", "e2el")
PERCENTILES = (50.0, 90.0, 99.0)
LIMITS = ("ttft", "tpot", "e2el")  # that goodput knows


def ttft_ms(result: Result) -> Floats:
    """Time to first token of the requests that finished, in the workload's order."""
    return _ms(result, (result.first_token - result.arrival)[result.done])


def e2el_ms(result: Result) -> Floats:
    """End-to-end latency of the requests that finished."""
    return _ms(result, result.latency)


def tpot_ms(result: Result) -> Floats:
    """Time per output token after the first of the requests that finished; nan for those of one token."""
    more = (result.workload.output_tokens[result.done] - 1).astype(np.float64)
    decode = _ms(result, (result.finish - result.first_token)[result.done])
    return np.asarray(np.divide(decode, more, out=np.full(more.shape, np.nan), where=more > 0), np.float64)


def goodput(result: Result, limits: Mapping[str, float]) -> float:
    """Requests per second that met all limits in ms on `ttft`, `tpot` and `e2el`; one token counts as a TPOT of 0."""
    for name, limit in limits.items():
        if name not in LIMITS:
            raise unknown_name("limit of goodput", name, LIMITS)
        number(limit, name, "goodput", low=0)
    if not limits:
        raise ParameterError("Goodput needs at least one limit, such as ttft:500.")
    values = {"ttft": ttft_ms, "tpot": lambda r: np.nan_to_num(tpot_ms(r)), "e2el": e2el_ms}
    good = np.ones(int(result.done.sum()), bool)
    for name, limit in limits.items():
        good &= values[name](result) <= limit
    return float(good.sum()) / _duration(result) if good.size else 0.0


def parse_goodput(text: str) -> dict[str, float]:
    """The limits that a string names, vLLM's way: `ttft:500 tpot:50`, in milliseconds."""
    limits: dict[str, float] = {}
    for part in text.replace(",", " ").split():
        name, colon, value = part.partition(":")
        if not colon:
            raise ParameterError(f"The goodput '{text}' has '{part}' where name:milliseconds is expected.")
        if name not in LIMITS:
            raise unknown_name("limit of goodput", name, LIMITS)
        limits[name] = number(value, name, "goodput", low=0)
    return limits


def parse_metrics(text: str) -> tuple[str, ...]:
    """The metrics that a string names, `ttft,tpot,itl,e2el`, as `--percentile-metrics` of vLLM; UnknownNameError."""
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    for name in names:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    if not names:
        raise ParameterError(f"The percentile metrics are empty: name some of {','.join(METRICS)}.")
    return tuple(dict.fromkeys(names))


def parse_percentiles(text: str) -> tuple[float, ...]:
    """The percentiles that a string names, `50,90,99.9`, as `--metric-percentiles` of vLLM; ParameterError."""
    parts = tuple(filter(None, (part.strip() for part in text.split(","))))
    if not parts:
        raise ParameterError("The metric percentiles are empty: give numbers from 0 to 100, such as 50,90,99.")
    return tuple(dict.fromkeys(number(p, "metric-percentiles", "the metrics", low=0, high=100) for p in parts))


def percentile_name(p: float) -> str:
    """vLLM's name of a percentile: `p99`, `p99.9`."""
    return f"p{int(p) if int(p) == p else p}"


def serving_metrics(
    result: Result, *, metrics: Sequence[str] = METRICS, percentiles: Sequence[float] = PERCENTILES,
    limits: Mapping[str, float] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The numbers of `vllm bench serve --save-result`, under its keys. None where nothing finished.

    `limits` in ms make `request_goodput`. ITL needs a result of the engine 'serving'; it is None for others.
    Raises UnknownNameError for another metric, ParameterError for a percentile outside [0, 100] or a bad limit.
    """
    for name in metrics:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    for p in percentiles:
        number(p, "percentiles", "serving_metrics", low=0, high=100)
    w, done = result.workload, result.done
    completed, seconds = int(done.sum()), _duration(result)
    total_in, total_out = int(w.prompt_tokens[done].sum()), int(w.output_tokens[done].sum())
    rates = (completed, total_out, total_in + total_out)
    per_second = [x / seconds if completed else None for x in rates]
    out: dict[str, Any] = {
        "duration": seconds, "completed": completed, "failed": len(w) - completed,
        "total_input_tokens": total_in, "total_output_tokens": total_out, "request_throughput": per_second[0],
        "request_goodput": goodput(result, limits) if limits else None,
        "output_throughput": per_second[1], "total_token_throughput": per_second[2],
    }  # fmt: skip
    for name in metrics:
        out |= _summary(name, *_values(result, name), percentiles)
    return out


def _values(result: Result, name: str) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The values of a metric in ms, and how often each occurs."""
    if name == "itl":
        if result.served is None:
            return np.empty(0), np.empty(0, np.int64)
        lengths, counts = result.served.gaps.counted()
        return _ms(result, lengths * result.tick), counts
    values = {"ttft": ttft_ms, "tpot": tpot_ms, "e2el": e2el_ms}[name](result)
    values = values[~np.isnan(values)]
    return values, np.ones(values.size, np.int64)


def _summary(
    name: str, values: Floats, counts: npt.NDArray[np.int64], percentiles: Sequence[float]
) -> dict[str, float | None]:
    """Mean, median, standard deviation and percentiles of values that occur so often, as of all of them one by one."""
    keys = [f"mean_{name}_ms", f"median_{name}_ms", f"std_{name}_ms"]
    keys += [f"{percentile_name(p)}_{name}_ms" for p in percentiles]
    if not values.size:
        return dict.fromkeys(keys)
    order = np.argsort(values, kind="stable")
    values, upto = values[order], np.cumsum(counts[order])
    n = int(upto[-1])
    mean = float((values * counts[order]).sum()) / n
    std = float(np.sqrt((((values - mean) ** 2) * counts[order]).sum() / n))
    at = np.array([50.0, *percentiles]) / 100 * (n - 1)
    below = np.floor(at)
    low, high = (values[np.searchsorted(upto, k, "right")] for k in (below, np.ceil(at)))
    median, *rest = (low + (high - low) * (at - below)).tolist()
    return dict(zip(keys, [mean, median, std, *rest], strict=True))


def _ms(result: Result, values: npt.NDArray[Any]) -> Floats:
    """Times in the result's unit as milliseconds; rounds as long as the clock says."""
    return np.asarray(values * (1e3 if result.unit == "s" else 1e3 * result.clock.tick_s), np.float64)


def _duration(result: Result) -> float:
    """Seconds from the first arrival to the last token."""
    if not result.done.any():
        return 0.0
    span = (result.finish[result.done].max() - result.arrival[result.done].min()).item()
    return float(span) * (1.0 if result.unit == "s" else result.clock.tick_s)
