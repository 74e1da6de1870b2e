"""A spec goes to JSON and back, and says in one sentence what is wrong with it."""

from __future__ import annotations

import pytest

from kvolume.errors import InputError, KvolumeError, ParameterError, UnknownNameError
from kvolume.study.spec import CompareSpec, kv_tokens


@pytest.mark.parametrize(
    "spec",
    [
        CompareSpec(),
        CompareSpec(source="-", policies=("svf:share=0.1,admission=greedy",), kv_tokens=10**9, burst=True, seed=7),
        CompareSpec(load=0.5, arrivals="gamma:cv=2", num_prompts=10, clock="linear:base=1e-2", skip_oversized=True),
        CompareSpec(request_rate=3, arrivals="recorded", predict="noise:sigma=0.5", engine="rounds"),
    ],
)
def test_a_spec_survives_json(spec: CompareSpec) -> None:
    assert CompareSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kv_tokens": 0}, "1 to 1000000000"),
        ({"kv_tokens": 10**9 + 1}, "Got 1000000001"),
        ({"kv_tokens": True}, "'kv_tokens' must be an integer"),
        ({"load": 0.0}, "load must be a number above 0"),
        ({"load": float("nan")}, "load must be a number above 0"),
        ({"load": float("inf")}, "load must be a number above 0"),
        ({"request_rate": -1.0}, "request rate must be a number above 0"),
        ({"num_prompts": 0}, "number of prompts must be an integer of at least 1"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
        ({"load": 0.5, "burst": True}, "--load and --burst exclude each other"),
        ({"load": 0.5, "request_rate": 1.0}, "--load and --request-rate exclude each other"),
        ({"burst": True, "arrivals": "poisson"}, "exclude each other"),
        ({"policies": ()}, "at least one"),
        ({"policies": ("svf", "svf")}, "given twice"),
        ({"policies": ("svf,fcfs",)}, "--policy svf --policy fcfs"),
        ({"policies": ("svg",)}, "Did you mean 'svf'?"),
        ({"policies": ("svf:shar=0.1",)}, "Did you mean 'share'?"),
        ({"policies": ("svf:share=2",)}, "share"),
        ({"arrivals": "poison"}, "Did you mean 'poisson'?"),
        ({"clock": "units"}, "Did you mean 'unit'?"),
        ({"predict": "noisy"}, "Did you mean 'noise'?"),
        ({"engine": "leaps"}, "Did you mean 'leap'?"),
        ({"source": ""}, "source is empty"),
    ],
)
def test_a_wrong_value_is_named_in_one_sentence(values: dict[str, object], message: str) -> None:
    with pytest.raises(KvolumeError) as error:
        CompareSpec(**values)  # type: ignore[arg-type]
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("128k", 131072),
        ("128K", 131072),
        ("131072MB", 131072),
        ("131,072", 131072),
        ("1e5", 100000),
        ("2M", 2000000),
    ],
)
def test_a_unit_suffix_gets_the_plain_number(text: str, meant: int) -> None:
    with pytest.raises(ParameterError, match=f"plain number of tokens.*Did you mean {meant}"):
        kv_tokens(text)


@pytest.mark.parametrize("text", ["", "many", "1.5", "1e99", "-5", "0", "1000000001"])
def test_no_budget_comes_of_nonsense(text: str) -> None:
    with pytest.raises(ParameterError, match="plain number of tokens"):
        kv_tokens(text)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("{", InputError, "is not JSON"),
        ("[]", InputError, "a list"),
        ('{"study": "sweep"}', InputError, "'sweep'"),
        ('{"polices": []}', UnknownNameError, "Did you mean 'policies'?"),
        ('{"load": "high"}', ParameterError, "'load' must be a number or null"),
        ('{"policies": "svf"}', ParameterError, "'policies' must be a list of strings"),
        ('{"burst": 1}', ParameterError, "'burst' must be true or false"),
    ],
)
def test_a_broken_spec_file_says_what_is_broken(text: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        CompareSpec.from_json(text, "spec.json")
    assert message in str(error.value)
