"""Several seeds: means with Student's interval, the same again, and nothing where nothing is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from statistics import mean

import numpy as np
import pytest

from kvolume import ParameterError, compare
from kvolume.study.interval import interval, student
from kvolume.study.seeds import replicate
from kvolume.study.spec import CompareSpec
from kvolume.study.table import seed_lines

Run = Callable[..., "tuple[int, str, str]"]
SPEC = CompareSpec(policies=("fcfs", "svf"), num_prompts=300, seed=4, arrivals="poisson", load=1.0)


@pytest.mark.parametrize("degrees", [*range(1, 12), 29, 30, 100])
def test_the_quantile_of_student_is_that_of_scipy(degrees: int) -> None:
    t = pytest.importorskip("scipy.stats").t
    for confidence in (0.5, 0.9, 0.95, 0.999):
        assert student(confidence, degrees) == pytest.approx(t.ppf((1 + confidence) / 2, degrees), rel=1e-9)


def test_an_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    made = [interval(rng.normal(3, 2, 5).tolist(), 0.9) for _ in range(4000)]
    assert np.mean([abs(i.mean - 3) <= (i.half or 0) for i in made]) == pytest.approx(0.9, abs=0.02)


def test_one_value_has_no_interval_and_none_is_refused() -> None:
    assert interval([2.0]) == (2.0, None)
    with pytest.raises(ParameterError, match="at least one value"):
        interval([])


def test_the_mean_is_that_of_single_comparisons() -> None:
    made = replicate(SPEC, 3)
    alone = [compare(policies=SPEC.policies, num_prompts=300, arrivals="poisson", load=1.0, seed=s) for s in (4, 5, 6)]
    assert made.rows[1]["mean_latency"].mean == pytest.approx(mean(c.rows[1]["mean_latency"] for c in alone))
    assert made.rows[1]["mean_latency"].half > 0
    assert made.wins(1) == sum(c.rows[1]["mean_latency"] <= c.rows[0]["mean_latency"] for c in alone)
    assert json.loads(made.to_json())["policies"][0]["p99"]["values"] == [c.rows[0]["p99"] for c in alone]


def test_the_same_seeds_give_the_same_bytes() -> None:
    one, two = (replicate(SPEC, 2) for _ in range(2))
    assert one.to_json() == two.to_json()
    assert all("±" in line.text for line in seed_lines(one) if line.text.startswith(("fcfs", "svf")))


def test_the_command_line_prints_intervals_and_refuses_what_makes_no_sense(kvolume: Run, log: str) -> None:
    given = ("compare", log, "--kv-tokens", "100", "--policy", "svf", "--policy", "vllm")
    code, out, _ = kvolume(*given, "--num-prompts", "60", "--seeds", "3")
    assert code == 0
    assert "±" in out
    assert "3 seeds of 60 requests" in out
    code, out, _ = kvolume(*given, "--num-prompts", "60", "--seeds", "2", "--json", "--engine", "serving")
    body = json.loads(out)
    assert body["seeds"] == [0, 1]
    assert body["serving"][0]["mean_ttft_ms"].keys() == {"mean", "half_width", "values"}
    for more, message in (
        (("--seeds", "3"), "nothing of 'log.csv' is drawn"),
        (("--num-prompts", "60", "--seeds", "0"), "at least 2"),
        (("--num-prompts", "60", "--seeds", "2", "--out", "o"), "exclude each other"),
    ):
        code, out, err = kvolume(*given, *more)
        assert (code, out) == (2, "")
        assert message in err
