"""The costs of a linear clock from what a real engine took: non-negative least squares, with the error that is left.

Errors are weighed relative to the time predicted, in rounds: the mean is matched, unlike with weights of 1 over the
time measured, which favour what was quick by chance. Steps that took far longer than the rest suggest (compiling, a
busy machine) are left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.clock import KINDS, NS, PS
from kvolume.errors import InputError, ParameterError
from kvolume.profiles import COSTS, Profile, path_of, to_json
from kvolume.study import outputs
from kvolume.study.bench import Bench, alone, batches, read_bench
from kvolume.study.spec import version
from kvolume.study.steps import Steps, read_steps

Floats = npt.NDArray[np.float64]

ROUNDS = 4
FAR_OFF = 3.0  # times the prediction
FEW = 5
BAD = 0.3


@dataclass(frozen=True)
class Rows:
    """What is fitted: seconds = counts @ costs, of so many measurements each."""

    counts: Floats  # columns as in COSTS
    seconds: Floats
    weight: Floats

    def __len__(self) -> int:
        return int(self.seconds.size)


@dataclass(frozen=True)
class Fit:
    """A fitted profile, and what must be said about it."""

    profile: Profile
    notes: tuple[str, ...] = ()


def nnls(a: Floats, b: Floats, *, base: bool = False) -> Floats:
    """The x >= 0 with the least |a x - b|: the best of all sets of columns, exact for the few that a clock has.

    With `base` the first is positive: a clock whose steps cost nothing by themselves is none.
    """
    scale = np.linalg.norm(a, axis=0)
    columns = np.flatnonzero(scale > 0)
    scaled = np.column_stack((a / np.where(scale > 0, scale, 1.0), b))
    small = np.asarray(np.linalg.qr(scaled, mode="r"), np.float64)  # however many rows, once
    a, b = small[:, :-1], small[:, -1]
    best, least = np.zeros(scale.size), float(b @ b)
    for k in range(1, columns.size + 1):
        for chosen in map(list, combinations(columns, k)):
            x = np.linalg.lstsq(a[:, chosen], b, rcond=1e-9)[0]
            rest = a[:, chosen] @ x - b
            if base and (chosen[0] != 0 or x[0] <= 0):
                continue
            if (x >= 0).all() and float(rest @ rest) < least * (1 - 1e-12):
                best, least = np.zeros(scale.size), float(rest @ rest)
                best[chosen] = x / scale[chosen]
    return best


def solve(rows: Rows) -> tuple[dict[str, float], npt.NDArray[np.bool_]]:
    """The costs in seconds, in whole nanoseconds (picoseconds for pairs), and which rows they were fitted to."""
    a, b = rows.counts, rows.seconds
    used = np.ones(len(rows), bool)
    weight = np.sqrt(rows.weight)
    expected = np.full(len(rows), float(np.median(b)))
    x = np.zeros(a.shape[1])
    for _ in range(ROUNDS):
        w = (weight / expected)[used]
        x = nnls(a[used] * w[:, None], b[used] * w, base=True)
        expected = np.maximum(a @ x, 1e-9)
        used = b <= FAR_OFF * expected
    grain = [NS * PS if name == "prefill_pair" else NS for name in COSTS]
    return {name: round(v * g) / g for name, v, g in zip(COSTS, x.tolist(), grain, strict=True)}, used


def errors(rows: Rows, costs: dict[str, float], used: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """How well the costs describe the rows: relative errors, R2, and each term's share of the time."""
    x = np.array(list(costs.values()))
    a, b = rows.counts[used], rows.seconds[used]
    guess = a @ x
    off = np.abs(guess - b) / b
    spread = float(((b - b.mean()) ** 2).sum())
    whole = float(guess.sum())
    return {
        "rows": len(rows), "left_out": int((~used).sum()), "median_relative_error": float(np.median(off)),
        "p95_relative_error": float(np.percentile(off, 95)), "mean_relative_bias": float(whole / b.sum() - 1),
        "r2": 1 - float(((b - guess) ** 2).sum()) / spread if spread > 0 else None,
        "shares": dict(zip(COSTS, (a * x).sum(axis=0) / whole if whole else x * 0, strict=True)),
    }  # fmt: skip


def rows_of_steps(logs: Sequence[Steps]) -> Rows:
    """Every step is a row."""
    counts = np.vstack([log.counts for log in logs])
    seconds = np.concatenate([log.seconds for log in logs])
    return Rows(np.column_stack((np.ones(seconds.size), counts)), seconds, np.ones(seconds.size))


def rows_of_benches(results: Sequence[Bench]) -> Rows:
    """The time per token of every request beside its mean batch."""
    tables, times, weights = zip(*(batches(bench) for bench in results), strict=True)
    counts, seconds = np.vstack(tables), np.concatenate(times)
    return Rows(np.column_stack((np.ones(seconds.size), counts)), seconds, np.concatenate(weights))


def outside(results: Sequence[Bench], costs: dict[str, float]) -> float | None:
    """Seconds that requests spend outside the engine before their first token: the median of those that came to an
    idle server, where their TTFT is one step and that. None where there are fewer than FEW of them.
    """
    tables, times = zip(*(alone(bench) for bench in results), strict=True)
    seconds = np.concatenate(times)
    if seconds.size < FEW:
        return None
    step = np.column_stack((np.ones(seconds.size), np.vstack(tables))) @ np.array(list(costs.values()))
    return max(0.0, round(float(np.median(seconds - step)), 9))


def fit(logs: Sequence[Steps] = (), results: Sequence[Bench] = (), kv_tokens: int | None = None) -> Fit:
    """The clock of these steps, or else the one that explains these benchmarks.

    With both, steps say what the engine costs, and benchmarks how long requests spend outside it. Raises InputError
    where there are too few measurements.
    """
    header = {k: v for log in logs for k, v in log.header.items() if v is not None}
    notes = [*(note for log in logs for note in log.notes), *(note for bench in results for note in bench.notes)]
    if not logs:
        known = results[0].known
        header = {"model": known.get("model_id"), "date": known.get("date")}
        if len(results) == 1:
            notes.append("One rate tells little about how a step depends on the batch: give results at several rates.")
    rows = rows_of_steps(logs) if logs else rows_of_benches(results)
    if len(rows) < 2 * len(COSTS):
        raise InputError(f"{len(rows)} measurements are too few for a clock: it needs {2 * len(COSTS)} or more.")
    costs, used = solve(rows)
    if costs["base"] <= 0:
        raise InputError("No clock explains these times: a step would cost nothing. Are they times of whole steps?")
    found = errors(rows, costs, used)
    if found["left_out"]:
        notes.append(f"{found['left_out']} of {len(rows)} are left out: over {FAR_OFF:g} times as long as expected.")
    if found["median_relative_error"] > BAD:
        notes.append("These costs describe badly what was measured: was the machine busy with other things?")
    front_end = outside(results, costs) if results else 0.0
    if front_end is None:
        notes.append("Too few requests came to an idle server to tell how long they spend outside the engine.")
    provenance = {"source": "steps" if logs else "benchmarks"} | {k: header.get(k) for k in ("vllm", "model", "date")}
    profile = Profile(
        seconds=costs, kv_tokens=kv_tokens or header.get("kv_tokens"), serving=str(header.get("serving") or ""),
        front_end=front_end or 0.0, fit=found, provenance=provenance | {"kvolume": version()},
    )  # fmt: skip
    return Fit(profile, tuple(dict.fromkeys(notes)))


def fit_files(paths: Sequence[Path], kv_tokens: int | None = None) -> Fit:
    """The clock of step logs, of results of `vllm bench serve`, or of both (see `fit`).

    Raises InputError for a file that is neither.
    """
    if not paths:
        raise ParameterError("kvolume fit clock needs a step log, results of `vllm bench serve`, or --probe.")
    kinds = {path: _is_bench(path) for path in paths}
    logs = [read_steps(path, kv_tokens) for path in paths if not kinds[path]]
    return fit(logs, [read_bench(path) for path in paths if kinds[path]], kv_tokens)


def _is_bench(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return path.suffix == ".json" and file.read(1) == "{"
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror or error}.") from None


def check_name(name: str | None, *, force: bool = False) -> None:
    """Raise ParameterError where a profile of this name cannot be written: before the work is done, not after."""
    if name is not None:
        if name in KINDS:
            raise ParameterError(f"'{name}' is a clock of kvolume's own: give the profile another name.")
        outputs.check_file(path_of(name), force=force, option="--name")


def save(fit: Fit, name: str, *, force: bool = False) -> Path:
    """Write the profile under its name, or to a path that ends in .json. Raises ParameterError where it exists."""
    check_name(name, force=force)
    path = path_of(name)
    with outputs.replacing(path) as new:
        new.write_text(to_json(fit.profile), encoding="utf-8")
    return path


def text(fit: Fit) -> str:
    """The costs and the error, to look at."""
    profile, found = fit.profile, fit.profile.fit
    about = dict(profile.provenance)
    source = about.pop("source")
    known = ", ".join(f"{key} {value}" for key, value in about.items() if value)
    what = "steps" if source == "steps" else "requests"
    lines = [f"clock fitted to {found['rows']:,} {what} ({known})", ""]
    lines.append(f"{'cost':<14}{'seconds':>12}{'share of the time':>20}")
    lines += [f"{k:<14}{v:>12.4g}{found['shares'][k]:>20.1%}" for k, v in profile.seconds.items()]
    if profile.front_end:
        lines.append(f"{'front end':<14}{profile.front_end:>12.4g}{'of a request, once':>20}")
    r2 = "" if found["r2"] is None else f", R2 {found['r2']:.3f}"
    off = [found[f"{which}_relative_error"] for which in ("median", "p95")]
    total = found["mean_relative_bias"]
    lines += ["", f"relative error: median {off[0]:.1%}, P95 {off[1]:.1%}; in total {total:+.1%}{r2}"]
    if profile.kv_tokens:
        lines.append(f"KV cache: {profile.kv_tokens:,} tokens{'; ' + profile.serving if profile.serving else ''}")
    return "\n".join(lines) + "\n"
