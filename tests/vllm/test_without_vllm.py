"""What the engine `vllm` says where there is no vLLM: runs in every environment."""

from __future__ import annotations

import sys

import pytest

from kvolume import ServingConfig, Workload
from kvolume.clock import parse_clock
from kvolume.engine.instance import prepare
from kvolume.errors import MissingExtraError
from kvolume.policy import parse


def test_the_engine_says_how_to_install_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from kvolume.vllm import oracle

    monkeypatch.setitem(sys.modules, "vllm", None)
    instance = prepare(Workload([0], [1], [1]), parse("vllm"), 16, parse_clock("linear"), holding="engine")
    with pytest.raises(MissingExtraError, match="pip install vllm"):
        oracle.run(instance, ServingConfig())
