"""Built-in workloads: generators made from published facts of real traces; no row of any trace is in them.

Lengths come from 19 quantiles of each trace by inverse CDF, coupled by a Gaussian copula that has the trace's Spearman
correlation. Gaps are Gamma with the trace's coefficient of variation (its moments, not the likelihood fit: queues
respond to the variance, and the rate and the variance are what the reader can check), or on/off where silence
dominates. See `facts` for the numbers that a generator was made from.
"""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.errors import ParameterError, unknown_name
from kvolume.workload._workload import Workload
from kvolume.workload.arrivals import gaps

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_STEPS = 257  # points that stand for the curve between two quantiles
MOST_ROWS = 20_000  # a workload's default size is its trace's, up to this


def names() -> tuple[str, ...]:
    """The built-in workloads."""
    return tuple(_catalogue()["workloads"])


def facts(name: str) -> dict[str, Any]:
    """The published facts behind a built-in workload; the dictionary is the caller's own.

    Keys: rows, prompt and output (mean, std and quantiles in tokens, levels in percent, bend), spearman, mean_volume
    (token-steps), source, licence, and, where the trace has times, arrivals (rate in requests/s, iat_cv, process);
    maybe note.
    Raises UnknownNameError with the nearest name.
    """
    catalogue = _catalogue()
    if name not in catalogue["workloads"]:
        raise unknown_name("workload", name, catalogue["workloads"])
    found: dict[str, Any] = json.loads(json.dumps(catalogue["workloads"][name]))
    for side in ("prompt", "output"):
        found[side]["levels"] = list(catalogue["levels"])
    return found


def synthetic(name: str, n: int | None = None, seed: int = 0) -> Workload:
    """Draw `n` requests (by default as many as the trace has, at most 20,000) of a built-in workload.

    Arrivals are in seconds at the published rate; workloads whose trace has no times have none. Same name, n and
    seed: same bytes. Raises UnknownNameError, and ParameterError for n < 1 or a negative seed.
    """
    known = facts(name)
    n = min(known["rows"], MOST_ROWS) if n is None else n
    if n < 1:
        raise ParameterError(f"The number of requests must be >= 1. Got {n} instead.")
    if seed < 0:
        raise ParameterError(f"The seed must be >= 0. Got {seed} instead.")
    lengths, times = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    prompt, output = _lengths(known, n, lengths)
    arrival_s = None
    if arrivals := known.get("arrivals"):
        arrival_s = np.cumsum(gaps(arrivals["process"], n, times) / arrivals["rate"])
        arrival_s -= arrival_s[0]
    notes = [
        f"Generated from published quantiles of {name} ({known['source']}, {known['licence']}); no row is the trace's."
    ]
    if "note" in known:
        notes.append(known["note"])
    return Workload(None, prompt, output, arrival_s=arrival_s, name=name, notes=tuple(notes))


def _lengths(known: dict[str, Any], n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Prompt and output tokens, each shape (n,), with the published margins and Spearman correlation."""
    r = 2 * math.sin(math.pi * known["spearman"] / 6)  # Pearson correlation of normals with this Spearman one
    z = rng.standard_normal(n)
    prompt = _inverse_cdf(known["prompt"], _normal_cdf(z), least=0)
    z *= r
    z += math.sqrt(1 - r * r) * rng.standard_normal(n)
    return prompt, _inverse_cdf(known["output"], _normal_cdf(z), least=1)


def _inverse_cdf(side: dict[str, Any], u: Floats, least: int) -> Ints:
    """Lengths at levels `u` in [0, 1]: a + (b - a) t^k between two quantiles a and b.

    One exponent k serves the body and one the last stretch (99.9 to 100 %). They were solved for so that the mean and,
    as far as the quantiles allow, the standard deviation are the published ones: straight lines (k = 1) make the mean
    of a long tail up to 40 % too large.
    """
    t = np.linspace(0, 1, _STEPS)
    levels, q = np.array(side["levels"]) / 100, np.array(side["quantiles"], np.float64)
    body, tail = side["bend"]
    bend = np.full(q.size - 1, body)
    bend[-1] = tail
    fine_levels = levels[:-1, None] + np.diff(levels)[:, None] * t
    fine = q[:-1, None] + np.diff(q)[:, None] * t ** bend[:, None]
    lengths = np.interp(u, fine_levels.ravel(), fine.ravel())
    np.rint(lengths, out=lengths)
    np.clip(lengths, max(least, math.ceil(q[0])), math.floor(q[-1]), out=lengths)
    tokens: Ints = lengths.astype(np.int64)
    return tokens


def _normal_cdf(z: Floats) -> Floats:
    """Standard normal CDF from a table (numpy has none); the error is below 1e-6."""
    grid, values = _normal_table()
    return np.interp(z, grid, values)


@cache
def _normal_table() -> tuple[Floats, Floats]:
    grid = np.linspace(-8, 8, 16_385)
    return grid, np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in grid])


@cache
def _catalogue() -> dict[str, Any]:
    catalogue: dict[str, Any] = json.loads(files(__package__).joinpath("facts.json").read_text("utf-8"))
    return catalogue
