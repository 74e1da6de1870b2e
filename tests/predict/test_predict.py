"""Predictors, and what one bit tells."""

from __future__ import annotations

import numpy as np
import pytest

from kvolume import ParameterError, UnknownNameError, Workload
from kvolume.predict import OneBit, parse

RNG = np.random.default_rng(0)
OUTPUT = RNG.geometric(0.01, 50_000)
W = Workload(np.zeros(OUTPUT.size, int), np.full(OUTPUT.size, 10), OUTPUT)


def test_exact_is_the_truth() -> None:
    assert W.with_predictions(parse("exact")).predicted.tolist() == OUTPUT.tolist()


def test_noise_has_the_spread_it_says() -> None:
    ratio = np.log(W.with_predictions(parse("noise:sigma=0.5")).predicted / OUTPUT)
    assert np.std(ratio[OUTPUT > 50]) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(("end", "sign"), [("upper", 1), ("lower", -1)])
def test_interval_ends_never_cross_the_truth(end: str, sign: int) -> None:
    predicted = W.with_predictions(parse(f"interval:ratio=3,end={end}")).predicted
    assert (sign * (predicted - OUTPUT) >= 0).all()
    assert (predicted <= 3 * OUTPUT + 1).all()


def test_classes_have_the_accuracy_of_the_real_classifier() -> None:
    """A confusion matrix with diagonal .80 .57 .46 .59 .24."""
    cuts = (42, 141, 294, 503)
    predicted = W.with_predictions(parse("classes")).predicted
    true = np.searchsorted(cuts, OUTPUT)
    levels = np.unique(predicted)
    assert levels.size == 5
    told = np.searchsorted(levels, predicted)
    for k, diagonal in enumerate((0.798, 0.566, 0.456, 0.59, 0.243)):
        assert np.mean(told[true == k] == k) == pytest.approx(diagonal, abs=0.03)


def test_same_seed_same_predictions() -> None:
    x, y = (W.with_predictions(parse("noise"), seed=4).predicted for _ in range(2))
    assert x.tobytes() == y.tobytes()
    assert x.tobytes() != W.with_predictions(parse("noise"), seed=5).predicted.tobytes()


def test_empirical_bit_uses_the_median_and_the_class_means() -> None:
    o = np.array([1, 2, 3, 10, 20])
    assert OneBit().reveal(o, o).tolist() == [2, 2, 2, 15, 15]
    assert OneBit().in_sample


def test_worst_case_bit_follows_theorem_3_3() -> None:
    o = np.array([1, 4, 5, 16])
    assert OneBit("worst-case").proxies(o, o) == (4, 2, 8)
    assert not OneBit("worst-case", most=16).in_sample


def test_geometric_bit_proxies_are_the_class_means_of_the_law() -> None:
    """Theorem 3.5: for o ~ Geo(mu) the proxies are the conditional means."""
    theta, short, long = OneBit("geometric", theta=60, mu=0.01).proxies(OUTPUT, OUTPUT)
    assert short == pytest.approx(OUTPUT[theta >= OUTPUT].mean(), rel=0.02)
    assert long == pytest.approx(OUTPUT[theta < OUTPUT].mean(), rel=0.02)


@pytest.mark.parametrize("text", ["noise:sigma=-1", "interval:ratio=0.5", "interval:end=middle"])
def test_bad_parameters_are_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="instead"):
        parse(text)


def test_unknown_predictors_get_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'noise'"):
        parse("nois")
