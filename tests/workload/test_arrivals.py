"""Arrival processes have mean 1 and the variance that their parameters promise."""

from __future__ import annotations

import numpy as np
import pytest

from kvolume.errors import ParameterError, UnknownNameError
from kvolume.workload import Workload, draw, gaps


@pytest.mark.parametrize(
    ("spec", "cv", "error"),
    [
        ("poisson", 1, 0.02),
        ("uniform", 0, 0),
        ("gamma:cv=2", 2, 0.03),
        ("gamma:cv=0.5", 0.5, 0.02),
        ("onoff:on=5,off=0", 1, 0.02),
        ("onoff:on=5,off=20", (1 + 2 * 400 / 25) ** 0.5, 0.05),
    ],
)
def test_mean_and_coefficient_of_variation(spec, cv, error):
    x = gaps(spec, 400_000, np.random.default_rng(1))
    assert x.shape == (400_000,)
    assert x.min() >= 0
    assert x.mean() == pytest.approx(1, abs=0.03)
    assert x.std() == pytest.approx(cv, rel=error, abs=1e-12)


def test_on_off_traffic_is_silent_for_its_share_of_the_time():
    x = gaps("onoff:on=50,off=150", 200_000, np.random.default_rng(2))
    assert x[x > 5].sum() / x.sum() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("spec", ["poisson", "gamma:cv=3", "onoff", "uniform"])
def test_same_seed_same_gaps(spec):
    a, b = (gaps(spec, 100, np.random.default_rng(7)) for _ in range(2))
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("poison", UnknownNameError, "Did you mean 'poisson'"),
        ("gamma:cvs=2", UnknownNameError, "Did you mean 'cv'"),
        ("gamma:cv=0", ParameterError, "Got '0'"),
        ("gamma:cv=1e-9", ParameterError, "cv"),
        ("onoff:on=-1", ParameterError, "Got '-1'"),
        ("onoff:off=nan", ParameterError, "Got 'nan'"),
        ("poisson:cv=1", UnknownNameError, "cv"),
    ],
)
def test_bad_specs_say_what_is_allowed(spec, error, message):
    with pytest.raises(error, match=message):
        gaps(spec, 10, np.random.default_rng(0))


def some(n: int = 50, **times) -> Workload:
    rng = np.random.default_rng(3)
    given = times or {"arrival_s": np.cumsum(rng.exponential(1, n))}
    return Workload(prompt_tokens=np.arange(n), output_tokens=np.arange(n) + 1, client=np.arange(n), **given)


def test_drawing_all_rows_is_a_permutation_of_rows_and_gaps():
    w = some()
    d = draw(w, len(w), seed=1)
    assert sorted(d.prompt_tokens) == sorted(w.prompt_tokens)
    assert (d.output_tokens == d.prompt_tokens + 1).all()
    np.testing.assert_allclose(np.sort(np.diff(d.arrival_s)), np.sort(np.diff(w.arrival_s)))
    assert d.arrival_s[0] == 0


def test_fewer_rows_are_drawn_without_replacement_and_more_with():
    w = some()
    assert np.unique(draw(w, 40, seed=2).prompt_tokens).size == 40
    more = draw(w, 500, seed=2)
    assert len(more) == 500
    assert set(more.prompt_tokens) <= set(w.prompt_tokens)


def test_drawing_repeats_with_the_seed_and_keeps_the_unit():
    w = some(arrival=np.arange(50) * 3)
    a, b, c = draw(w, 30, 1), draw(w, 30, 1), draw(w, 30, 2)
    assert a.prompt_tokens.tobytes() == b.prompt_tokens.tobytes() != c.prompt_tokens.tobytes()
    assert a.unit == "rounds"
    assert np.diff(a.arrival).tolist() == [3] * 29


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (-1, 0), (3, -1)])
def test_drawing_needs_a_size_and_a_seed(n, seed):
    with pytest.raises(ParameterError):
        draw(some(), n, seed)


def test_other_arrivals_drop_the_logs_completion_times():
    w = Workload(arrival_s=[0.0, 1], prompt_tokens=[1, 1], output_tokens=[1, 1], finish_s=[2.0, 3])
    for changed in (w.burst(), w.poisson(), w.at_rate(5), w.at_load(1, 100), draw(w, 2)):
        assert changed.finish_s is None
    assert w.slice(1).finish_s.tolist() == [3]
