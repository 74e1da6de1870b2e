"""The roofline clock: what its table says, what it makes of it, what it refuses."""

from __future__ import annotations

import pytest

from kvolume import ParameterError, UnknownNameError, Workload, compare, simulate
from kvolume.clock import parse_clock
from kvolume.roofline import GPUS, MODELS, roofline

# KV bytes per token by hand: 2 * layers * KV heads * head size * 2 bytes
KV_BYTES = {"llama-3.1-8b": 131_072, "llama-3.1-70b": 327_680, "llama-2-7b": 524_288, "llama-2-70b": 327_680,
            "qwen3-8b": 147_456, "qwen3-32b": 262_144, "qwen3-30b-a3b": 98_304}  # fmt: skip


def test_kv_bytes_are_those_of_the_configurations() -> None:
    assert {name: model.kv_bytes for name, model in MODELS.items()} == KV_BYTES


def test_an_iteration_reads_the_weights_and_computes_the_tokens() -> None:
    r = roofline({"model": "llama-3.1-8b", "gpu": "h100", "mfu": "1", "mbu": "1", "overhead": "0"})
    assert r.base == pytest.approx(16.06e9 / 3.35e12)
    assert r.kv_token == pytest.approx(131_072 / 3.35e12)
    assert r.prefill_token == pytest.approx(16.06e9 / 989e12)
    assert r.kv_tokens % 16 == 0
    assert r.kv_tokens == pytest.approx((0.9 * 81_559 * 2**20 - 2e9 - 16.06e9) / 131_072, rel=1e-3)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("gpu", GPUS)
def test_every_model_runs_on_enough_gpus(model: str, gpu: str) -> None:
    clock = parse_clock(f"roofline:model={model},gpu={gpu},tp=8")
    assert clock.base > 0
    assert clock.kv_token > 0
    assert clock.kv_tokens > 16
    w = Workload(None, [100], [5], arrival_s=[0.0])
    assert simulate(w, "svf", clock=clock, engine="serving").kv_tokens == clock.kv_tokens


def test_two_gpus_are_faster_and_hold_more() -> None:
    one, two = (parse_clock(f"roofline:model=qwen3-8b,gpu=a100,tp={tp}") for tp in (1, 2))
    assert two.base < one.base
    assert two.kv_tokens > 2 * one.kv_tokens


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("roofline:model=llama-3.1-8,gpu=h100", UnknownNameError, "Did you mean 'llama-3.1-8b'"),
        ("roofline:model=llama-3.1-8b,gpu=h20", UnknownNameError, "Did you mean 'h200'"),
        ("roofline:gpu=h100", ParameterError, "needs a model"),
        ("roofline:model=llama-3.1-70b,gpu=a100", ParameterError, "leave no room for KV tokens .*raise tp"),
        ("roofline:model=llama-3.1-8b,gpu=h100,mfu=2", ParameterError, "mfu"),
        ("roofline:model=llama-3.1-8b,gpu=h100,tpp=2", UnknownNameError, "Did you mean 'tp'"),
    ],
)
def test_what_it_cannot_be_is_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_clock(text)


def test_compare_takes_the_budget_from_the_gpu_unless_given() -> None:
    w = Workload(None, [100, 50], [5, 9], arrival_s=[0.0, 0.1])
    clock = "roofline:model=llama-3.1-8b,gpu=l40s"
    assert compare(w, "svf", clock=clock, engine="serving").spec.kv_tokens == parse_clock(clock).kv_tokens
    assert compare(w, "svf", clock=clock, kv_tokens=4096).spec.kv_tokens == 4096
