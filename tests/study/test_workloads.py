"""From a spec to the workload that it describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kvolume.errors import InputError, UnknownNameError
from kvolume.study.spec import CompareSpec
from kvolume.study.workloads import fitting, generate, prepare

HEADER = "arrival_s,input_length,output_length\n"


@pytest.fixture
def log(tmp_path: Path) -> str:
    rows = [f"{i * 0.5},{10 + i},{5 + i}" for i in range(20)]
    path = tmp_path / "log.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return str(path)


@pytest.fixture
def lengths(tmp_path: Path) -> str:
    path = tmp_path / "lengths.csv"
    path.write_text("input_length,output_length\n" + "10,5\n20,7\n" * 10)
    return str(path)


def test_a_file_replays_as_recorded(log: str) -> None:
    assert prepare(CompareSpec(source=log)).arrival_s.tolist() == [i * 0.5 for i in range(20)]


def test_a_built_in_workload_has_load_097_unless_told_otherwise() -> None:
    spec = CompareSpec(num_prompts=300)
    assert prepare(spec).load(spec.kv_tokens) == pytest.approx(0.97, rel=1e-2)
    for other in (
        CompareSpec(num_prompts=300, arrivals="recorded"),
        CompareSpec(num_prompts=300, request_rate=1),
        CompareSpec(num_prompts=300, burst=True),
    ):
        assert prepare(other).load(spec.kv_tokens) != pytest.approx(0.97, rel=1e-2)


def test_load_scales_the_recorded_gaps(log: str) -> None:
    spec = CompareSpec(source=log, load=0.5, kv_tokens=100)
    workload = prepare(spec)
    assert workload.load(100) == pytest.approx(0.5, rel=0.05)
    gaps = np.diff(workload.arrival_s)
    assert gaps == pytest.approx(gaps[0])


def test_load_counts_only_requests_that_fit(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(HEADER + "".join(f"{i},10,5\n" for i in range(200)) + "200,5000,500\n")
    workload = prepare(CompareSpec(source=str(path), load=0.5, kv_tokens=100, skip_oversized=True))
    fits = workload.take(np.flatnonzero(fitting(workload, 100)))
    assert fits.load(100) == pytest.approx(0.5, rel=0.05)


def test_a_rate_is_in_requests_per_second(log: str) -> None:
    workload = prepare(CompareSpec(source=log, request_rate=10))
    assert (len(workload) - 1) / (workload.arrival_s.max() - workload.arrival_s.min()) == pytest.approx(10)


def test_lengths_without_times_need_a_load_a_rate_or_a_burst(lengths: str) -> None:
    for spec in (CompareSpec(source=lengths), CompareSpec(source=lengths, arrivals="recorded")):
        with pytest.raises(InputError, match=r"no (recorded )?arrival times.*--burst"):
            prepare(spec)
    for good in ({"load": 0.5}, {"request_rate": 2.0}, {"burst": True}):
        assert prepare(CompareSpec(source=lengths, **good)).has_arrivals  # type: ignore[arg-type]


def test_an_arrival_shape_needs_a_rate(log: str) -> None:
    with pytest.raises(InputError, match=r"add --load"):
        prepare(CompareSpec(source=log, arrivals="poisson"))


@pytest.mark.parametrize("arrivals", ["poisson", "gamma:cv=3", "onoff:on=5,off=5"])
def test_the_seed_decides_the_arrivals(log: str, arrivals: str) -> None:
    one, same, other = (
        prepare(CompareSpec(source=log, arrivals=arrivals, load=0.5, kv_tokens=100, seed=seed)).arrival_s.tolist()
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_num_prompts_draws_from_a_file_with_the_seed(log: str) -> None:
    draws = [prepare(CompareSpec(source=log, num_prompts=50, seed=seed)).prompt_tokens.tolist() for seed in (0, 0, 1)]
    assert len(draws[0]) == 50
    assert draws[0] == draws[1] != draws[2]


def test_a_source_that_is_neither_file_nor_built_in_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'azure2023_code'.*no file of that name"):
        prepare(CompareSpec(source="azure2023_cod"))
    with pytest.raises(InputError, match=r"no file 'logs/x[.]csv'"):
        prepare(CompareSpec(source="logs/x.csv"))


def test_generate_keeps_the_recorded_rate_unless_told_otherwise() -> None:
    plain = generate(CompareSpec(source="azure2023_conv", num_prompts=500))
    assert (len(plain) - 1) / np.ptp(plain.arrival_s) == pytest.approx(5.53, rel=0.3)
    assert generate(CompareSpec(source="azure2023_conv", num_prompts=5, burst=True)).load(10**6) == float("inf")
