"""How close the generators are to the published facts: measured on 200,000 requests of each.

Means of prompt and output: within 0.5 % or four standard errors. Quantiles from 5 to 99 %: within 3 % (or one token);
at 1 %: within 10 %. Spearman: within 0.02.
Coefficient of variation of the gaps: within 5 %. Mean volume: within 5 % for ten of the sixteen workloads; the
copula knows nothing of limits on prompt + output or of tails that move together, so the others are listed.
"""

from __future__ import annotations

import numpy as np
import pytest

from kvolume.errors import ParameterError, UnknownNameError
from kvolume.workload import facts, names, synthetic

N = 200_000
VOLUME_ERROR = {
    "azure2023_conv": 0.15, "servegen_m_mid": 0.32, "servegen_m_small": 0.34, "servegen_deepseek_r1": 0.17,
    "servegen_mm_image": 0.20, "arxiv_summarization_lengths": 0.29,
}  # fmt: skip


def ranks(x):
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


@pytest.fixture(scope="module", params=names())
def pair(request):
    return synthetic(request.param, N, seed=1), facts(request.param)


def test_mean_lengths(pair):
    w, known = pair
    for side, values in (("prompt", w.prompt_tokens), ("output", w.output_tokens)):
        mean, noise = known[side]["mean"], known[side]["std"] / N**0.5
        assert values.mean() == pytest.approx(mean, abs=max(0.005 * mean, 4 * noise)), side


def test_quantiles_and_range(pair):
    w, known = pair
    for side, values in (("prompt", w.prompt_tokens), ("output", w.output_tokens)):
        levels, published = np.array(known[side]["levels"]), np.array(known[side]["quantiles"])
        for inner, error in (((levels >= 5) & (levels <= 99), 0.03), (levels == 1, 0.1)):
            found = np.percentile(values, levels[inner])
            np.testing.assert_allclose(found, published[inner], rtol=error, atol=1.01, err_msg=side)
        assert values.max() <= published[-1]
        assert values.min() >= (1 if side == "output" else 0)


def test_rank_correlation(pair):
    w, known = pair
    found = np.corrcoef(ranks(w.prompt_tokens), ranks(w.output_tokens))[0, 1]
    assert found == pytest.approx(known["spearman"], abs=0.02)


def test_mean_volume(pair):
    w, known = pair
    assert w.volumes().mean() == pytest.approx(known["mean_volume"], rel=VOLUME_ERROR.get(w.name, 0.05))


def test_rate_and_burstiness(pair):
    w, known = pair
    assert w.has_arrivals == ("arrivals" in known)
    if not w.has_arrivals:
        return
    gaps = np.diff(w.arrival_s)
    error = 0.08 if known["arrivals"]["process"].startswith("onoff") else 0.03  # a few long silences decide
    assert 1 / gaps.mean() == pytest.approx(known["arrivals"]["rate"], rel=error)
    assert gaps.std() / gaps.mean() == pytest.approx(known["arrivals"]["iat_cv"], rel=0.05)


def test_code_completion_traffic_is_mostly_silence():
    gaps = np.diff(synthetic("azure2023_code", N).arrival_s)
    assert gaps[gaps > 10].sum() / gaps.sum() == pytest.approx(2377 / 3436, abs=0.06)


def test_same_seed_same_bytes_and_other_seed_other_bytes():
    a, b, c = (synthetic("azure2023_conv", 1000, s) for s in (5, 5, 6))
    for column in ("prompt_tokens", "output_tokens", "arrival_s"):
        assert getattr(a, column).tobytes() == getattr(b, column).tobytes() != getattr(c, column).tobytes()


def test_the_default_size_is_the_traces_up_to_20_000():
    assert len(synthetic("azure2023_code")) == 8819
    assert len(synthetic("servegen_m_large")) == 20_000


def test_bad_requests_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'azure2023_conv'"):
        synthetic("azure2023_con")
    with pytest.raises(UnknownNameError):
        facts("nothing")
    with pytest.raises(ParameterError):
        synthetic("azure2023_conv", 0)
    with pytest.raises(ParameterError):
        synthetic("azure2023_conv", 1, -1)


def test_the_facts_are_the_reference_ones(traces):
    import json

    fits = json.loads((traces / "fits.json").read_text())
    assert set(fits) == set(names())
    for name in names():
        known, fit = facts(name), fits[name]
        assert (known["rows"], known["spearman"]) == (fit["rows"], fit["spearman"])
        for side in ("prompt", "output"):
            assert known[side]["quantiles"] == list(fit[side]["q"].values())
            assert known[side]["levels"] == [float(level) for level in fit[side]["q"]]
            assert known[side]["mean"] == fit[side]["mean"]
