"""`compare` with the serving engine: the same certificate, and the numbers of `vllm bench serve`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kvolume import InputError, ParameterError, UnknownNameError, Workload, compare
from kvolume.cli import main

W = Workload(None, [40, 900, 30, 25], [20, 30, 9, 1], arrival_s=[0.0, 0.0, 0.1, 0.1], name="four")
POLICIES = ("vllm", "svf", "svf:admission=greedy")


def test_it_has_a_certificate_and_the_metrics_of_vllm() -> None:
    made = compare(
        W, POLICIES, kv_tokens=1000, clock="linear", engine="serving", serving="max_num_seqs=2",
        goodput="ttft:1000 tpot:50",
    )  # fmt: skip
    body = json.loads(made.to_json())
    assert [row["policy"] for row in body["serving"]] == list(POLICIES)
    assert body["serving"][0].keys() >= {"mean_ttft_ms", "p99_tpot_ms", "median_itl_ms", "request_goodput"}
    assert all(row["ratio_to_bound"] >= 1 for row in body["policies"])
    assert made.results[0].kv_tokens == 992  # whole blocks
    assert "TTFT, ms" in made.table()
    assert "good" in made.table()


def test_a_request_that_fits_in_vllm_though_not_in_the_papers_model_counts() -> None:
    w = Workload(None, [20], [13], arrival_s=[0.0])  # 32 tokens at most, 33 in the papers' model
    made = compare(w, "vllm", kv_tokens=32, clock="linear", engine="serving")
    assert made.rows[0]["ratio_to_bound"] >= 1
    assert made.rows[0]["finished"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"serving": "max_num_seqs=2"}, "--serving needs --engine serving"),
        ({"goodput": "ttft:1"}, "--goodput needs --engine serving"),
        ({"engine": "serving", "policies": ("svf", "alpha-protection")}, "cannot run policy 'alpha-protection'"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        compare(W, **({"policies": POLICIES, "kv_tokens": 1000, "clock": "linear"} | options))


def test_a_prompt_without_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="no prompt token"):
        compare(Workload([0], [0], [2]), "vllm", kv_tokens=100, engine="serving")


def test_the_command_line_takes_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--num-prompts 200 --request-rate 9 --clock linear --engine serving --policy vllm --json"
    assert main(["compare", "azure2023_conv", *options.split(), "--serving", "max_num_seqs=8"]) in (0, None)
    body = json.loads(capsys.readouterr().out)
    assert body["serving"][0]["completed"] == 200
    assert main(["compare", "azure2023_conv", *options.split(), "--serving", "max_num_seq=8"]) == 2
    assert "Did you mean 'max_num_seqs'?" in capsys.readouterr().err


def test_percentiles_and_metrics_are_those_that_are_asked_for() -> None:
    made = compare(W, POLICIES, kv_tokens=1000, clock="linear", engine="serving", percentile_metrics="ttft,e2el",
                   metric_percentiles="25,99.9")  # fmt: skip
    row = made.served_rows[0]
    assert {key for key in row if key.endswith("_ms")} == {
        f"{what}_{name}_ms" for what in ("mean", "median", "std", "p25", "p99.9") for name in ("ttft", "e2el")
    }
    assert row["p99.9_e2el_ms"] == pytest.approx(np.percentile(1000 * made.results[0].latency, 99.9))
    assert "P99.9" in made.table()
    assert "TPOT" not in made.table()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"percentile_metrics": "ttfd"}, "Did you mean 'ttft'?"),
        ({"percentile_metrics": ","}, "are empty"),
        ({"metric_percentiles": "50,101"}, r"in \[0, 100\]. Got '101'"),
        ({"metric_percentiles": "x"}, "must be a number"),
        ({"metric_percentiles": "50", "engine": "auto"}, "--metric-percentiles needs --engine serving"),
    ],
)
def test_bad_percentiles_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        compare(W, POLICIES, **({"kv_tokens": 1000, "clock": "linear", "engine": "serving"} | options))  # type: ignore[arg-type]
