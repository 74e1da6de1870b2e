"""Arrival processes: gaps between requests, one second long on average, to be scaled to any rate or load."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kvolume.errors import ParameterError, unknown_name
from kvolume.text import check_keys, number, parse_spec

Floats = npt.NDArray[np.float64]
PROCESSES = ("poisson", "gamma", "onoff", "uniform")
_DEFAULTS: dict[str, dict[str, float]] = {
    "poisson": {},
    "uniform": {},
    "gamma": {"cv": 2.0},
    "onoff": {"on": 50.0, "off": 50.0},
}


def gaps(spec: str, n: int, rng: np.random.Generator) -> Floats:
    """`n` gaps in seconds, shape (n,), independent, with mean 1.

    - `poisson`: exponential gaps (coefficient of variation 1).
    - `gamma:cv=2`: Gamma gaps of shape 1/cv^2; cv > 1 is burstier than Poisson, cv < 1 more regular.
    - `onoff:on=50,off=50`: Poisson bursts that last `on` seconds on average, then silence of `off` seconds on
      average, both exponential (an interrupted Poisson process); inside a burst the rate is (on + off)/on
      requests a second. The squared coefficient of variation is 1 + 2 off^2/(on + off).
    - `uniform`: a gap of exactly one second.

    Raises UnknownNameError for another process or parameter, ParameterError for a value out of range.
    """
    name, values = parse_spec(spec, "arrival process")
    if name not in _DEFAULTS:
        raise unknown_name("arrival process", name, PROCESSES)
    if n < 0:
        raise ParameterError(f"The number of gaps must be >= 0. Got {n} instead.")
    what = f"arrival process {name}"
    check_keys(values, _DEFAULTS[name], what)
    given = {
        k: number(values.get(k, v), k, what, low=0, high=1e6, open_low=k != "off")
        for k, v in _DEFAULTS[name].items()
    }
    if name == "uniform":
        return np.ones(n)
    if name == "gamma":
        return _gamma(given["cv"], n, rng)
    if name == "onoff":
        return _onoff(given["on"], given["off"], n, rng)
    return rng.standard_exponential(n)


def _gamma(cv: float, n: int, rng: np.random.Generator) -> Floats:
    if not 1e-3 <= cv <= 100:
        number(cv, "cv", "arrival process gamma", low=1e-3, high=100)
    return rng.gamma(1 / cv**2, cv**2, n)


def _onoff(on: float, off: float, n: int, rng: np.random.Generator) -> Floats:
    """Gaps of the interrupted Poisson process, which is a renewal process: after an arrival the burst is on.

    Before the next arrival the burst ends k times, k geometric; each of the k + 1 stretches that are on lasts
    Exp(rate + 1/on), whichever event ends it, and each of the k silences lasts Exp(1/off).
    """
    rate = (on + off) / on
    silences = rng.geometric(rate / (rate + 1 / on), n) - 1
    return rng.standard_gamma(silences + 1.0) / (rate + 1 / on) + rng.standard_gamma(silences * 1.0) * off
