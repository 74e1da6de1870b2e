"""The metrics of `vllm bench serve`, against the same formulas on one entry for each token."""

from __future__ import annotations

import numpy as np
import pytest
from tests.engine.serving_cases import CLOCK, case

from kvolume import ParameterError, Result, UnknownNameError, Workload, simulate
from kvolume.engine.metrics import goodput, parse_goodput, serving_metrics


def result_of(seed: int) -> Result:
    it = case(seed)
    return simulate(it.workload, "vllm", kv_tokens=it.kv_tokens, clock=CLOCK, engine="serving", serving=it.config)


@pytest.mark.parametrize("seed", range(20))
def test_they_are_what_numpy_says_of_all_values(seed: int) -> None:
    r = result_of(seed)
    got = serving_metrics(r, percentiles=(50, 99, 99.9))
    lengths, counts = r.served.gaps.counted()
    o = r.workload.output_tokens
    many = o > 1
    values = {
        "ttft": r.first_token - r.arrival,
        "e2el": r.finish - r.arrival,
        "tpot": ((r.finish - r.first_token) / np.maximum(o - 1, 1))[many],
        "itl": np.repeat(lengths, counts) * 1e-9,
    }
    for name, x in values.items():
        if not x.size:
            assert got[f"mean_{name}_ms"] is None
            continue
        x = x * 1e3
        assert got[f"mean_{name}_ms"] == pytest.approx(x.mean())
        assert got[f"median_{name}_ms"] == pytest.approx(np.median(x))
        assert got[f"std_{name}_ms"] == pytest.approx(x.std(), abs=1e-9)
        for p in ("50", "99", "99.9"):
            assert got[f"p{p}_{name}_ms"] == pytest.approx(np.percentile(x, float(p)))
    assert got["completed"] == len(o)
    assert got["output_throughput"] == pytest.approx(o.sum() / got["duration"])


def test_goodput_counts_requests_that_meet_all_limits() -> None:
    w = Workload(None, [10, 10, 10], [1, 5, 5], arrival_s=[0.0, 0.0, 3.0])
    r = simulate(w, "vllm", kv_tokens=1600, clock="linear:base=0.1", engine="serving")
    assert goodput(r, {"tpot": 99}) == pytest.approx(1 / 3.5)  # one token: a TPOT of 0
    assert goodput(r, {"tpot": 101, "e2el": 200}) == pytest.approx(1 / 3.5)
    assert goodput(r, {"ttft": 101}) == pytest.approx(3 / 3.5)
    assert serving_metrics(r, limits={"ttft": 101})["request_goodput"] == pytest.approx(3 / 3.5)
    with pytest.raises(UnknownNameError, match="Did you mean 'ttft'"):
        goodput(r, {"tft": 1})


def test_limits_are_read_as_vllm_writes_them() -> None:
    assert parse_goodput("ttft:500 tpot:50") == {"ttft": 500.0, "tpot": 50.0}
    with pytest.raises(UnknownNameError):
        parse_goodput("itl:5")
    with pytest.raises(ParameterError, match="name:milliseconds"):
        parse_goodput("ttft=5")
    with pytest.raises(ParameterError, match="at least one limit"):
        goodput(result_of(0), {})


def test_other_engines_have_no_gaps_between_tokens() -> None:
    r = simulate(Workload([0, 0], [3, 3], [2, 2]), "fcfs", kv_tokens=10)
    got = serving_metrics(r)
    assert got["mean_itl_ms"] is None
    assert got["mean_ttft_ms"] == pytest.approx(30.0)
    with pytest.raises(ParameterError, match="percentiles"):
        serving_metrics(r, percentiles=(101,))
