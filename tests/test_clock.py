"""Clocks: the quadratic part in integers, and fitted profiles by name and by path."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvolume import InputError, ParameterError, UnknownNameError, Workload, simulate
from kvolume.clock import Clock, budget, parse_clock
from kvolume.geometry import attention_pairs
from kvolume.profiles import COSTS, Profile, folder, load, path_of, to_json

SECONDS = dict(zip(COSTS, (2e-3, 3e-5, 4e-8, 5e-6, 6e-10), strict=True))


@given(st.integers(0, 60), st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_pairs_are_every_token_with_all_up_to_itself_however_a_prompt_is_cut(before: int, chunks: list[int]) -> None:
    after = before + sum(chunks)
    pairs = sum(1 for token in range(before, after) for _ in range(token + 1))
    assert attention_pairs(before, after) == pairs
    ends = np.cumsum([before, *chunks])
    assert int(attention_pairs(ends[:-1], ends[1:]).sum()) == pairs


@given(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 10**5))
def test_pairs_are_charged_in_picoseconds_rounded_up_once(pairs: int, per_pair: int, tokens: int) -> None:
    clock = Clock("c", base=7, prefill_token=3, prefill_pair=per_pair, tick_ns=1)
    took = clock.iteration(0, 0, tokens, pairs) - 7 - 3 * tokens
    assert 0 <= 1000 * took - per_pair * pairs < 1000
    assert not clock.unit


def test_a_long_prompt_costs_more_in_chunks_only_by_their_bases_and_roundings() -> None:
    w = Workload(None, [1000], [1], arrival_s=[0.0])
    clock = Clock("c", base=1_000_000, prefill_pair=800, tick_ns=1)
    run = {
        size: simulate(w, "vllm", kv_tokens=2000, clock=clock, engine="serving",
                       serving=f"max_num_batched_tokens={size},max_num_seqs=1")
        for size in (1000, 100)
    }  # fmt: skip
    whole, cut = (round(r.finish[0] * 1e9) for r in run.values())
    assert whole == 1_000_000 + 400 * 1001
    assert 0 <= cut - whole - 9 * 1_000_000 < 10


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of profiles."""
    monkeypatch.setenv("KVOLUME_HOME", str(tmp_path))
    folder().mkdir()
    return tmp_path


def test_a_profile_is_found_by_its_name_and_by_its_path(home: Path) -> None:
    profile = Profile(seconds=SECONDS, kv_tokens=4096, serving="block_size=32", front_end=0.01)
    path_of("mine").write_text(to_json(profile))
    assert load("mine") == profile
    for text in ("mine", "profile:mine", f"profile:{home}/clocks/mine.json", f"{home}/clocks/mine.json"):
        clock = parse_clock(text)
        assert (clock.base, clock.request, clock.kv_token) == (2_000_000, 30_000, 40)
        assert (clock.prefill_token, clock.prefill_pair, clock.name) == (5_000, 600, text)
        assert (budget(None, clock), budget(99, clock)) == (4096, 99)


def test_names_that_are_no_clock_get_the_nearest_that_is(home: Path) -> None:
    with pytest.raises(UnknownNameError, match="There is no clock profile 'mine', nor any other"):
        parse_clock("profile:mine")
    path_of("h200-8b").write_text(to_json(Profile(seconds=SECONDS)))
    with pytest.raises(UnknownNameError, match="Did you mean 'h200-8b'"):
        parse_clock("profile:h200-8")
    with pytest.raises(UnknownNameError, match="Did you mean 'h200-8b'"):
        parse_clock("h20-8b")
    with pytest.raises(InputError, match=r"There is no clock profile 'no.json'"):
        parse_clock("no.json")
    with pytest.raises(ParameterError, match=r"letters, digits and -_\.\+"):
        parse_clock("profile:../x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "was not written by `kvolume fit clock`"),
        ({"seconds": SECONDS, "kvolume": "x"}, "must be 'clock profile'"),
        ({"seconds": {"request": 1}}, "no costs"),
        ({"seconds": SECONDS | {"kv_tokens": 1}}, "Did you mean 'kv_token'"),
        ({"seconds": SECONDS | {"base": 0}}, "'base' .* must be a number >= 1e-09. Got 0"),
        ({"seconds": SECONDS | {"request": -1}}, "'request' .* Got -1"),
        ({"seconds": SECONDS | {"request": "much"}}, "'request' .* Got 'much'"),
        ({"seconds": SECONDS, "kv_tokens": 0}, "'kv_tokens' .* Got 0"),
        ({"seconds": SECONDS, "front_end": -1}, "'front_end' .* Got -1"),
    ],
)
def test_a_bad_profile_gets_a_sentence(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "bad.json"
    if isinstance(content, dict):
        content = json.dumps({"kvolume": "clock profile"} | content)
    path.write_text(str(content))
    with pytest.raises(InputError, match=message):
        parse_clock(str(path))
