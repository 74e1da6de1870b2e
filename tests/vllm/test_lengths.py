from __future__ import annotations

import numpy as np
import pytest

from kvolume.geometry import volume
from kvolume.vllm.hints import NONE, Hint
from kvolume.vllm.lengths import ENOUGH_OF_A_CLIENT, ENOUGH_OF_ALL, STRANGER, Lengths


def learn(lengths: Lengths, outputs: list[int], client: str = "a", hint: Hint = NONE, ended: bool = True) -> None:
    for o in outputs:
        lengths.finish(hint, client, 10, o, 100, ended)


def test_hint_then_client_then_everybody_then_max_tokens():
    lengths = Lengths()
    assert lengths.predict(NONE, "a", 512) == (512, "max_tokens")
    assert lengths.predict(Hint(20), "a", 512) == (20, "hint")
    assert lengths.predict(Hint(2000), "a", 512) == (512, "hint")
    learn(lengths, [30] * ENOUGH_OF_A_CLIENT)
    assert lengths.predict(NONE, "a", 512) == (30, "client")
    assert lengths.predict(NONE, "b", 512) == (512, "max_tokens")
    learn(lengths, [50] * (ENOUGH_OF_ALL - ENOUGH_OF_A_CLIENT), "c")
    assert lengths.predict(NONE, "b", 512)[1] == "everybody"
    assert lengths.predict(NONE, "a", 16) == (16, "client")


def test_cut_off_requests_are_censored_observations():
    rng = np.random.default_rng(0)
    lengths = Lengths()
    for true in rng.geometric(1 / 200, 4000):
        learn(lengths, [min(int(true), 100)], ended=bool(true <= 100))
    assert lengths.predict(NONE, "a", 10_000)[0] == pytest.approx(200, rel=0.25)


def test_a_client_whose_hints_run_short_loses_trust_and_can_regain_it():
    lengths = Lengths()
    learn(lengths, [500] * 40, "liar", Hint(1.0))
    assert lengths.predict(Hint(1.0), "liar", 1000)[1] == "client"
    assert lengths.predict(Hint(1.0), "honest", 1000) == (1, "hint")
    learn(lengths, [500] * 40, "liar", Hint(490.0))
    assert lengths.predict(Hint(490.0), "liar", 1000) == (490, "hint")


def test_a_new_name_for_every_request_buys_no_trust_and_costs_nobody_with_a_history():
    lengths = Lengths()
    learn(lengths, [20] * STRANGER, "known", Hint(20.0))
    for k in range(20):
        learn(lengths, [500], f"liar {k}", Hint(1.0))
    for client in ("liar 20", "", "liar 3"):
        assert lengths.predict(Hint(1.0), client, 1000)[1] != "hint"
    assert lengths.predict(Hint(20.0), "known", 1000) == (20, "hint")
    learn(lengths, [20] * STRANGER, "new", Hint(20.0))
    assert lengths.predict(Hint(20.0), "new", 1000) == (20, "hint")


def test_before_anything_is_learned_the_rest_of_the_context_is_no_prediction():
    """A chat without max_tokens may fill the context: its longer prompt does not make it the smaller request."""
    context, lengths = 8192, Lengths()
    volumes = [volume(s, lengths.predict(NONE, "", context - s)[0]) for s in (10, 1000, 5000)]
    assert volumes == sorted(volumes)
    assert lengths.predict(NONE, "", 100) == (100, "max_tokens")


def test_hints_can_be_turned_off():
    assert Lengths(trust_hints=False).predict(Hint(5), "a", 100) == (100, "max_tokens")
    assert Lengths(trust_hints=False).predict(Hint(None, "short"), "a", 100) == (100, "max_tokens")


def test_classes_have_the_worst_case_proxies_and_then_their_own_means():
    lengths = Lengths()
    assert lengths.predict(Hint(None, "short"), "", 10_000)[0] == pytest.approx(10)
    assert lengths.predict(Hint(None, "long"), "", 10_000)[0] == pytest.approx(1000)
    learn(lengths, [7] * 10, "a", Hint(None, "short"))
    learn(lengths, [700] * 10, "a", Hint(None, "long"))
    assert lengths.predict(Hint(None, "short"), "", 10_000) == (7, "class")
    assert lengths.predict(Hint(None, "long"), "", 10_000) == (700, "class")


def test_state_per_client_is_bounded_and_the_least_recently_used_goes():
    lengths = Lengths(keys=3)
    for name in ("a", "b", "c", "a", "d"):
        learn(lengths, [5], name)
    assert list(lengths.clients) == ["c", "a", "d"]
