"""Fitted clocks: what made the times is found again; what cannot be used is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.study import made

from kvolume import InputError, ParameterError
from kvolume.clock import parse_clock
from kvolume.study import fit
from kvolume.study.bench import batches, read_bench
from kvolume.study.steps import read_steps

TRUE = {"base": 2e-3, "request": 5e-5, "kv_token": 6e-8, "prefill_token": 2e-5, "prefill_pair": 9e-9}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_best_set_of_columns_is_scipys_nnls(seed: int, columns: int) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy (extra 'optimum') is not installed")
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(12, columns)) * 10.0 ** rng.integers(-3, 4, columns)
    b = rng.normal(size=12)
    theirs, residual = optimize.nnls(a, b)
    ours = fit.nnls(a, b)
    assert (ours >= 0).all()
    assert np.linalg.norm(a @ ours - b) == pytest.approx(residual, rel=1e-9)
    np.testing.assert_allclose(ours * np.linalg.norm(a, axis=0), theirs * np.linalg.norm(a, axis=0), atol=1e-7)


def test_a_clock_has_a_base_though_the_best_fit_has_none_and_a_bad_fit_says_so(tmp_path: Path) -> None:
    a = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    b = np.array([0.5, 2.0, 3.5])
    assert fit.nnls(a, b)[0] == 0
    assert fit.nnls(a, b, base=True).tolist() == pytest.approx([2.0, 0.0])
    server = made.run(20)
    rng = np.random.default_rng(0)
    for row in server.rows:
        row["ns"] = int(row["ns"] * rng.choice([0.05, 1.0, 2.0]))
    found = fit.fit_files([Path(made.step_log(tmp_path / "s.jsonl", server))])
    assert any("describe badly" in note for note in found.notes)


def test_the_steps_of_a_clock_give_the_clock(tmp_path: Path) -> None:
    log = made.step_log(tmp_path / "steps.jsonl", made.run(20))
    found = fit.fit_files([Path(log)])
    assert found.profile.seconds == pytest.approx(TRUE, rel=1e-3)
    assert found.profile.fit["p95_relative_error"] < 1e-3
    assert sum(found.profile.fit["shares"].values()) == pytest.approx(1)
    assert (found.profile.kv_tokens, found.profile.serving) == (made.KV_TOKENS, made.SERVING)
    assert found.profile.provenance["model"] == "made"


def test_steps_that_took_far_too_long_are_left_out_and_counted(tmp_path: Path) -> None:
    server = made.run(20)
    for row in server.rows[::50]:
        row["ns"] *= 40
    found = fit.fit_files([Path(made.step_log(tmp_path / "steps.jsonl", server))])
    assert found.profile.seconds == pytest.approx(TRUE, rel=1e-3)
    assert any("are left out" in note for note in found.notes)


def test_benchmarks_at_several_rates_give_the_clock_and_what_is_outside(tmp_path: Path) -> None:
    paths = []
    for rate in (4, 20, 60):
        result = made.bench(made.run(rate, seed=rate))
        result["ttfts"] = [t + 0.007 for t in result["ttfts"]]
        paths.append(Path(made.save(tmp_path / f"{rate}.json", result)))
    profile = fit.fit_files(paths, made.KV_TOKENS).profile
    for key in ("base", "request", "prefill_token"):  # the rest hides behind these: checked below by what it says
        assert profile.seconds[key] == pytest.approx(TRUE[key], rel=0.25)
    assert profile.fit["median_relative_error"] < 0.03
    assert profile.front_end == pytest.approx(0.007, rel=0.1)
    path = fit.save(fit.Fit(profile), str(tmp_path / "clock.json"))
    clock = parse_clock(str(path))
    for running, held, prefill in ((1, 100, 0), (20, 4000, 0), (10, 2000, 200)):
        pairs = prefill * prefill // 2
        assert clock.iteration(running, held, prefill, pairs) == pytest.approx(
            made.CLOCK.iteration(running, held, prefill, pairs), rel=0.1
        )


def test_steps_with_benchmarks_give_costs_from_the_steps(tmp_path: Path) -> None:
    server = made.run(4)
    result = made.bench(server)
    result["ttfts"] = [t + 0.007 for t in result["ttfts"]]
    bench = made.save(tmp_path / "bench.json", result)
    profile = fit.fit_files([Path(made.step_log(tmp_path / "s.jsonl", server)), Path(bench)]).profile
    assert profile.seconds == pytest.approx(TRUE, rel=1e-3)
    assert profile.front_end == pytest.approx(0.007, rel=0.05)


def test_batches_seen_from_outside_are_those_of_the_engine(tmp_path: Path) -> None:
    """The time per token, weighed by tokens, is explained by the mean batch under the true costs."""
    bench = read_bench(Path(made.save(tmp_path / "b.json", made.bench(made.run(30)))))
    counts, seconds, weight = batches(bench)
    expected = np.column_stack((np.ones(len(counts)), counts)) @ np.array(list(TRUE.values()))
    np.testing.assert_allclose(np.average(expected, weights=weight), np.average(seconds, weights=weight), rtol=0.02)


def test_vllms_own_log_is_read(tmp_path: Path) -> None:
    lines = ["INFO kv_cache_utils.py CPU KV cache size: 16,416 tokens, Maximum concurrency 8x"]
    for k in range(30):
        ms = 2 + 0.05 * (k % 5 + 1) + 0.02 * 10 * (k % 3)
        lines.append(
            f"INFO loggers.py Engine 000: Iteration({k}): {int(k % 3 > 0)} context requests, {10 * (k % 3)} context "
            f"tokens, {k % 5 + 1 - int(k % 3 > 0)} generation requests, 3 generation tokens, "
            f"iteration elapsed time: {ms:.2f} ms, CPU KV cache usage: 0.0%"
        )
    path = tmp_path / "server.log"
    path.write_text("\n".join(lines))
    found = fit.fit_files([path])
    assert found.profile.kv_tokens == 16_416
    assert found.profile.seconds["base"] == pytest.approx(2e-3, rel=0.02)
    assert found.profile.seconds["prefill_token"] == pytest.approx(2e-5, rel=0.05)
    assert any("prefill_pair is 0" in note for note in found.notes)
    path.write_text("\n".join(lines[1:]))
    with pytest.raises(ParameterError, match="give --kv-tokens"):
        fit.fit_files([path])
    assert fit.fit_files([path], 999).profile.kv_tokens == 999


def test_a_step_log_that_is_cut_off_or_goes_on_is_read(tmp_path: Path) -> None:
    server = made.run(20)
    log = Path(made.step_log(tmp_path / "s.jsonl", server))
    text = log.read_text()
    log.write_text(text + text[:-9])
    assert len(read_steps(log).seconds) == 2 * len(server.rows) - 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no steps"),
        ("hello\n", "neither a step log"),
        ('{"kvolume": "step log"}\n', "has no steps"),
        ('{"running": 1}\n{"running": 1}\n', "Line 1 of .* is not a step"),
        ('{"running": -1, "kv_tokens": 1, "prefill_tokens": 0, "pairs": 0, "ns": 5}\n{}\n{}', "Line 1 of"),
        ('{"running": 1, "kv_tokens": 1, "prefill_tokens": 0, "pairs": 0, "ns": 5}\n', "1 measurements are too few"),
    ],
)
def test_a_log_without_usable_steps_gets_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        fit.fit_files([path])
