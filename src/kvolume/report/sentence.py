"""What a comparison means for its workload, in one plain sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kvolume.clock import parse_clock
from kvolume.study.interval import CONFIDENCE

if TYPE_CHECKING:
    from kvolume.study.comparison import Comparison
    from kvolume.study.seeds import Replicated
    from kvolume.study.spec import CompareSpec

BASELINES = ("vllm", "fcfs")


def heading(comparison: Comparison) -> str:
    """What was compared: the workload, its size, load, budget and clock."""
    workload, rejected = comparison.workload, comparison.rows[0]["rejected"]
    load = "one burst" if math.isinf(comparison.load) else f"load {comparison.load:.3g}"
    lost = f" ({rejected:,} rejected)" if rejected else ""
    return f"{workload.name}: {len(workload):,} requests{lost}, {load}, {machine(comparison.spec)}"


def seeds_heading(made: Replicated) -> str:
    """The same of a comparison with several seeds."""
    low, high = min(made.loads), max(made.loads)
    load = "one burst" if math.isinf(high) else f"load {low:.3g}" + (f" to {high:.3g}" if high - low > 5e-3 else "")
    return f"{made.name}: {len(made.runs)} seeds of {made.requests:,} requests, {load}, {machine(made.spec)}"


def over_seeds(made: Replicated) -> str:
    """What the intervals are, and who was best how often."""
    first = made.spec.seed
    wins = [made.wins(i) for i in range(len(made.runs[0]))]
    best = max(range(len(wins)), key=wins.__getitem__)
    said = f"Means over the seeds {first} to {first + len(made.runs) - 1}; ± is Student's {CONFIDENCE:.0%} interval."
    if not wins[best] or len(wins) == 1:
        return said
    label = made.runs[0][best]["label"]
    return f"{said} {label} has the lowest mean latency with {wins[best]} of {len(made.runs)} seeds."


def machine(spec: CompareSpec) -> str:
    """The budget and the clock."""
    clock = parse_clock(spec.clock)
    time = f"rounds of {1000 * clock.tick_s:g} ms" if clock.unit else f"clock {spec.clock}"
    return f"{spec.kv_tokens:,} KV tokens, {time}"


def timing(comparison: Comparison) -> str:
    """How long simulating took and how fast it was."""
    wall = sum(result.wall_seconds for result in comparison.results)
    requests = len(comparison.workload) * len(comparison.results)
    rate = f", {requests / wall:,.0f} requests per second" if wall > 0 else ""
    return f"Simulated {requests:,} requests in {wall:.3g} s{rate}."


def sentence(comparison: Comparison) -> str:
    """One sentence: the best policy, how much it gains, how far from optimal it can be, and what queued."""
    name, load, rows = comparison.workload.name, comparison.load, comparison.rows
    where = f"On {name}, as one burst," if math.isinf(load) else f"On {name} at load {load:.3g},"
    finished = [row for row in rows if row["status"] == "finished" and row["mean_latency"] is not None]
    if not finished:
        if all(row["finished"] == 0 and row["rejected"] for row in rows):
            return f"{where} no request fits {comparison.spec.kv_tokens:,} KV tokens, so all are rejected."
        return f"{where} no policy finishes: each keeps evicting what it has just admitted."
    if all(row["queued_share"] == 0 for row in finished):
        return f"{where} no request queues, so no policy can matter: the KV cache has room for all at once."
    best = min(finished, key=lambda row: row["mean_latency"])
    others = [row for row in finished if row is not best]
    base = next((row for b in BASELINES for row in others if row["policy"] == b), None)
    parts = [_gain(best, base, others, comparison.unit), _certificate(best, comparison)]
    text = f"{where} {', and is '.join(filter(None, parts))}; {_queued(best, base)}"
    tail = _tail(best, finished)
    return f"{text}{'; ' + tail if tail else ''}."


def _gain(best: dict[str, Any], base: dict[str, Any] | None, others: list[dict[str, Any]], unit: str) -> str:
    label, mean = best["label"], f"{digits(best['mean_latency'])} {unit}"
    if not others:
        return f"{label} has a mean latency of {mean}"
    tied = [row["label"] for row in others if row["mean_latency"] == best["mean_latency"]]
    if len(tied) == len(others):
        return f"every policy has the same mean latency, {mean}"
    if base is None or base["mean_latency"] == best["mean_latency"]:
        return f"{label} has the lowest mean latency, {mean}"
    drop = 1 - best["mean_latency"] / base["mean_latency"]
    return f"{label} has the lowest mean latency, {percent(drop)} below {base['label']}"


def _certificate(best: dict[str, Any], comparison: Comparison) -> str:
    ratio = best["ratio_to_bound"]
    if ratio is None:
        return ""
    bound = comparison.bound_for(comparison.results[comparison.rows.index(best)])
    possible = "the best possible" if bound is None or bound.any_policy else "the best possible without preemption"
    if ratio < 2:
        return f"certified to be at most {percent(ratio - 1, up=True)} above {possible}"
    return f"certified to be at most {math.ceil(ratio * 10) / 10:.4g} times {possible}"


def _queued(best: dict[str, Any], base: dict[str, Any] | None) -> str:
    share = f"{percent(best['queued_share'])} of the requests queued under it"
    if base is None:
        return share
    other = f"{percent(base['queued_share'])} under {base['label']}"
    if max(best["queued_share"], base["queued_share"]) < 0.01:
        return f"only {share} ({other}), so the choice matters to few"
    return f"{share} ({other})"


def _tail(best: dict[str, Any], finished: list[dict[str, Any]]) -> str:
    fcfs = next((row for row in finished if row["policy"] == "fcfs"), None)
    if fcfs is None or fcfs is best or best["p99"] <= fcfs["p99"]:
        return ""
    return f"its P99 is {percent(best['p99'] / fcfs['p99'] - 1)} above that of fcfs, the price that long requests pay"


def percent(share: float, *, up: bool = False) -> str:
    """A share in per cent, two digits or so; rounded up where it is a claim, which must not shrink in rounding."""
    percent = 100 * share
    if up:
        scale = 10 if percent < 10 else 1
        percent = math.ceil(percent * scale - 1e-9) / scale
    if 0 < percent < 0.1:
        return "less than 0.1%"
    return f"{percent:.1f}%" if percent < 10 else f"{percent:,.0f}%"


def digits(value: float) -> str:
    """A number with four digits or so."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
