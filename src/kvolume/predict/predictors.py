"""Predictors: a workload's output lengths as some real predictor would give them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from kvolume.errors import ParameterError, unknown_name
from kvolume.text import check_keys, number, parse_spec
from kvolume.workload import Predictor, Workload


@dataclass(frozen=True)
class Perfect:
    """The true lengths."""

    def predict(self, workload: Workload, rng: np.random.Generator) -> npt.NDArray[Any]:
        return workload.output_tokens


@dataclass(frozen=True)
class Noise:
    """True length times e^(sigma * N(0, 1)): unbiased in the median. 0.55 is what two samples of a prompt differ by."""

    sigma: float = 0.5

    def predict(self, workload: Workload, rng: np.random.Generator) -> npt.NDArray[Any]:
        noisy = workload.output_tokens * np.exp(self.sigma * rng.standard_normal(len(workload)))
        return np.clip(np.rint(noisy), 1, 1_000_000_000).astype(np.int64)


@dataclass(frozen=True)
class Interval:
    """Only an interval [o/r, o*r] around the true length is known, r uniform in [1, ratio]: the prediction is an end.

    `end=upper` is safe (A-max's view), `end=lower` never reserves too much (A-min's view).
    """

    ratio: float = 2.0
    end: str = "upper"

    def predict(self, workload: Workload, rng: np.random.Generator) -> npt.NDArray[Any]:
        r = 1 + (self.ratio - 1) * rng.random(len(workload))
        o = workload.output_tokens
        bound = np.ceil(o * r) if self.end == "upper" else np.floor(o / r)
        return np.clip(bound, 1, 1_000_000_000).astype(np.int64)


@dataclass(frozen=True)
class Classes:
    """A classifier with a real confusion matrix; the prediction is the mean true length of the predicted class.

    The built-in matrix is that of a BERT classifier of five classes cut at 42, 141, 294 and 503 tokens (accuracy
    0.60, Spearman 0.77; Proxy-model scheduling, facts only).
    """

    cuts: tuple[int, ...] = (42, 141, 294, 503)
    confusion: tuple[tuple[float, ...], ...] = ()

    def predict(self, workload: Workload, rng: np.random.Generator) -> npt.NDArray[Any]:
        o = workload.output_tokens
        rows = np.asarray(self.confusion or bert_confusion())
        upto = np.cumsum(rows / rows.sum(axis=1, keepdims=True), axis=1)
        true = np.searchsorted(self.cuts, o, side="left")
        told = (rng.random(len(workload))[:, None] > upto[true]).sum(axis=1).clip(max=len(self.cuts))
        means = np.array([o[told == k].mean() if (told == k).any() else 1.0 for k in range(len(self.cuts) + 1)])
        return np.asarray(np.rint(means[told]).clip(min=1), np.int64)


@cache
def bert_confusion() -> tuple[tuple[float, ...], ...]:
    """Rows: true class; columns: predicted class; each row sums to 1."""
    facts = json.loads((files("kvolume.predict") / "facts.json").read_text())
    return tuple(tuple(row) for row in facts["bert_five_classes"]["confusion"])


def parse(text: str) -> Predictor:
    """The predictor that a string names: exact, noise:sigma=0.5, interval:ratio=2,end=upper, classes.

    Raises UnknownNameError or ParameterError.
    """
    name, values = parse_spec(text, "predictor")
    what = f"predictor {name}"
    if name == "exact":
        check_keys(values, set(), what)
        return Perfect()
    if name == "noise":
        check_keys(values, {"sigma"}, what)
        return Noise(number(values.get("sigma", 0.5), "sigma", what, low=0, high=10))
    if name == "interval":
        check_keys(values, {"ratio", "end"}, what)
        end = values.get("end", "upper")
        if end not in ("upper", "lower"):
            raise ParameterError(f"The 'end' parameter of {what} must be upper or lower. Got {end!r} instead.")
        return Interval(number(values.get("ratio", 2), "ratio", what, low=1, high=1000), end)
    if name == "classes":
        check_keys(values, set(), what)
        return Classes()
    raise unknown_name("predictor", name, ("exact", "noise", "interval", "classes"))
