"""Every metric that the Grafana dashboard asks for exists, and each that exists is asked for."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "kvolume.json"


def test_dashboard_and_metrics_agree():
    prometheus = pytest.importorskip("prometheus_client", reason="comes with vLLM")
    from kvolume.vllm.metrics import Metrics

    metrics = Metrics()
    metrics.counts.update(admitted=3, held_back=1, out_of_turn=1, differed=1, lane=1)
    metrics.decisions = 9
    metrics.evictions["memory"] = metrics.sources["hint"] = 1
    metrics.finished.append((10.0, 12))
    metrics.publish(Counter({"hint": 1}), 2, 0.5)
    metrics.publish(Counter({"hint": 1}), 2, 0.5)
    text = prometheus.generate_latest().decode()
    there = set(re.findall(r"^(kvolume:\w+)", text, re.MULTILINE))
    asked = set(re.findall(r"kvolume:\w+", DASHBOARD.read_text()))
    assert asked <= there
    families = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in there}
    assert families == {re.sub(r"_(total|bucket)$", "", name) for name in asked}
    assert 'kvolume:policy_faults_total{where="hint"} 1.0' in text
    assert json.loads(DASHBOARD.read_text())["title"] == "kvolume in vLLM"
