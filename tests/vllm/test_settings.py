from __future__ import annotations

import pytest

from kvolume.errors import KvolumeError, ParameterError, UnknownNameError
from kvolume.policy import Greedy
from kvolume.vllm import DEFAULT_POLICY
from kvolume.vllm.settings import Settings, load


def test_default_is_svf_with_a_share_and_vllms_own_admission():
    given = load(None, {})
    assert given.policy == DEFAULT_POLICY == "fair-svf"
    assert 0 < given.planner().order.share < 1
    assert isinstance(given.planner().admission, Greedy)


def test_additional_config_is_read_and_the_environment_wins():
    config = {"kvolume": {"policy": "sjf:admission=greedy", "trust_hints": False, "keys": "17"}}
    given = load(config, {})
    assert (given.policy, given.trust_hints, given.keys) == ("sjf:admission=greedy", False, 17)
    given = load(config, {"KVOLUME_POLICY": "vllm", "KVOLUME_MODE": "off", "KVOLUME_TRUST_HINTS": "1"})
    assert (given.policy, given.mode, given.trust_hints) == ("vllm", "off", True)
    assert load({"kvolume": "vllm"}, {}).policy == "vllm"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"policy": "svg"}, "Unknown policy 'svg'. Did you mean 'svf'"),
        ({"polcy": "svf"}, "Unknown setting of kvolume 'polcy'. Did you mean 'policy'"),
        ({"mode": "obsrve"}, "Unknown mode 'obsrve'. Did you mean 'observe'"),
        ({"policy": 3}, "'policy' parameter of the kvolume plug-in must be text. Got 3"),
        ({"trust_hints": "perhaps"}, "'trust_hints' parameter .* must be true or false. Got 'perhaps'"),
        ({"keys": 0}, r"'keys' parameter .* must be an integer in \[1, 1e\+07\]. Got 0"),
        ({"keys": True}, "'keys' parameter .* must be a number. Got True"),
        ({"slice_ratio": float("nan")}, "'slice_ratio' parameter .* Got nan"),
        ({"wait_timeout_s": -1}, "'wait_timeout_s' .* Got -1"),
        ({"policy": "svf:keep=0"}, "keep=0; vLLM always keeps the tokens"),
        ({"policy": "svf:evict=all"}, "evicts by 'all'; vLLM preempts one request at a time"),
        ({"policy": "alpha-protection"}, "evicts by 'all'"),
        ([], "must be an object or a policy"),
    ],
)
def test_bad_settings_are_one_sentence(config: object, message: str):
    with pytest.raises(KvolumeError, match=message):
        load({"kvolume": config}, {})


def test_what_vllm_cannot_carry_is_refused_by_name(monkeypatch: pytest.MonkeyPatch):
    from kvolume.policy import Entry, register, registry
    from kvolume.policy.policy import Policy
    from kvolume.policy.svf import Volume
    from kvolume.vllm.settings import carried

    class Pausing:
        name = "pausing"

        def plan(self, state):
            raise NotImplementedError

    class Own(Volume):
        def queue(self, state):
            return super().queue(state)

    monkeypatch.setattr(registry, "_registered", {})
    for name, policy in (("pausing-test", Pausing()), ("own-queue-test", Policy(Own()))):
        register(Entry(name, "test", lambda v, p=policy: p))
    with pytest.raises(ParameterError, match=r"'pausing-test' plans every step itself.*cannot pause a decode"):
        carried("pausing-test")
    with pytest.raises(ParameterError, match="'own-queue-test' has a queue of its own"):
        carried("own-queue-test")
    with pytest.raises(UnknownNameError):
        Settings(policy="no-such")
