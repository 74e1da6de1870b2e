"""A benchmark beside its simulation: no difference where the server is the simulated one, and one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.study import made

from kvolume import InputError
from kvolume.profiles import COSTS, Profile, to_json
from kvolume.study.bench import read_bench
from kvolume.study.validate import measured, validate

SECONDS = dict(zip(COSTS, (2e-3, 5e-5, 6e-8, 2e-5, 9e-9), strict=True))


@pytest.fixture
def clock(tmp_path: Path) -> str:
    """A profile that knows its server."""
    path = tmp_path / "made-clock.json"
    path.write_text(to_json(Profile(seconds=SECONDS, kv_tokens=made.KV_TOKENS, serving=made.SERVING)))
    return str(path)


def test_a_server_that_is_the_simulated_one_differs_in_nothing(tmp_path: Path, clock: str) -> None:
    for rate in (5, 80):
        result = Path(made.save(tmp_path / "r.json", made.bench(made.run(rate))))
        found = validate(result, clock)
        assert len(found.differences) == 20
        assert all(abs(off) < 1e-6 for off in found.differences.values())
        assert found.throughput[0] == pytest.approx(found.throughput[1])


def test_a_clock_twice_as_slow_shows(tmp_path: Path, clock: str) -> None:
    slow = tmp_path / "slow.json"
    slow.write_text(to_json(Profile(seconds={k: 2 * v for k, v in SECONDS.items()}, kv_tokens=made.KV_TOKENS)))
    result = Path(made.save(tmp_path / "r.json", made.bench(made.run(2))))
    found = validate(result, str(slow), serving=made.SERVING)
    assert found.differences["mean_tpot_ms"] == pytest.approx(100, rel=0.2)


def test_options_given_win_over_those_of_the_profile(tmp_path: Path, clock: str) -> None:
    result = Path(made.save(tmp_path / "r.json", made.bench(made.run(80))))
    found = validate(result, clock, kv_tokens=4096, serving="max_num_seqs=2")
    assert (found.kv_tokens, found.serving) == (4096, "block_size=16,max_num_batched_tokens=512,max_num_seqs=2")
    assert found.differences["mean_ttft_ms"] > 50


def test_time_outside_the_engine_is_added_to_ttft_and_e2el_only(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(to_json(Profile(seconds=SECONDS, kv_tokens=made.KV_TOKENS, serving=made.SERVING, front_end=0.25)))
    result = Path(made.save(tmp_path / "r.json", made.bench(made.run(5))))
    found = validate(result, str(path))
    for key, value in found.simulated.items():
        assert value - found.measured[key] == pytest.approx(250 if "ttft" in key or "e2el" in key else 0, abs=1e-6)


def test_the_numbers_measured_are_vllms_own_formulas(tmp_path: Path) -> None:
    result = made.bench(made.run(10))
    found = measured(read_bench(Path(made.save(tmp_path / "r.json", result))))
    e2el = [1e3 * (t + sum(x)) for t, x in zip(result["ttfts"], result["itls"], strict=True)]
    tpot = [1e3 * sum(x) / (o - 1) for x, o in zip(result["itls"], result["output_lens"], strict=True) if o > 1]
    pooled = [1e3 * x for gaps in result["itls"] for x in gaps]
    for name, values in (("e2el", e2el), ("tpot", tpot), ("itl", pooled)):
        assert found[f"mean_{name}_ms"] == pytest.approx(np.mean(values))
        assert found[f"p95_{name}_ms"] == pytest.approx(np.percentile(values, 95))


def test_failed_requests_are_left_out_and_counted(tmp_path: Path) -> None:
    result = made.bench(made.run(10, n=20))
    for key, nothing in (("ttfts", 0.0), ("itls", []), ("output_lens", 0)):
        result[key][3] = nothing
    bench = read_bench(Path(made.save(tmp_path / "r.json", result)))
    assert (bench.failed, bench.start.size, bench.notes) == (1, 19, ("1 of 20 requests failed and are left out.",))


def test_without_start_times_arrivals_follow_the_rate_and_the_seed(tmp_path: Path) -> None:
    result = made.bench(made.run(10, n=60), request_rate=50.0)
    del result["start_times"]
    path = Path(made.save(tmp_path / "r.json", result))
    one, same, other = (read_bench(path, seed) for seed in (1, 1, 2))
    assert one.start.tolist() == same.start.tolist() != other.start.tolist()
    assert np.diff(one.start).mean() == pytest.approx(0.02, rel=0.5)
    assert "drawn with seed 1" in one.notes[0]
    path = Path(made.save(tmp_path / "r.json", result | {"request_rate": "inf"}))
    assert not read_bench(path).start.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"itls": None}, "has no 'itls': save it with .*--save-detailed"),
        ({"ttfts": [0.1]}, "has 1 ttfts but"),
        ({"input_lens": ["x"] * 20}, "something other than numbers"),
        ({"ttfts": [0.0] * 20}, "no request that was answered"),
        ({"start_times": None, "request_rate": None}, "when were requests sent"),
    ],
)
def test_a_result_that_cannot_be_used_gets_a_sentence(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = Path(made.save(tmp_path / "r.json", made.bench(made.run(10, n=20), **change)))
    with pytest.raises(InputError, match=message):
        read_bench(path)
    path.write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(InputError, match="give each its own"):
        read_bench(path)
