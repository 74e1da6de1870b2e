"""The timeline has a slice for each stay and tracks on which slices do not overlap."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path

from kvolume.report.perfetto import events, write
from kvolume.study.comparison import Comparison


def test_a_slice_for_each_stay_on_tracks_without_overlap(comparison: Comparison) -> None:
    result = comparison.results[0]
    assert result.evictions.sum() > 0
    slices = [e for e in events(result)["traceEvents"] if e["ph"] == "X"]
    assert len(slices) == result.episodes.request.size
    assert sum("evicted" in e["name"] for e in slices) == result.evictions.sum()
    tracks = defaultdict(list)
    for e in slices:
        tracks[e["tid"]].append((e["ts"], e["ts"] + e["dur"]))
    for spans in tracks.values():
        spans.sort()
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


def test_counters_stay_within_the_budget(in_seconds: Comparison) -> None:
    counts = [e for e in events(in_seconds.results[0])["traceEvents"] if e["ph"] == "C"]
    assert {e["name"] for e in counts} == {"KV tokens", "waiting requests"}
    assert max(e["args"].get("KV tokens", 0) for e in counts) <= 40


def test_slices_are_capped_with_a_note(comparison: Comparison, tmp_path: Path) -> None:
    trace = events(comparison.results[0], most_requests=5)
    assert len({e["name"].split()[1] for e in trace["traceEvents"] if e["ph"] == "X"}) == 5
    assert "first 5 of 60" in trace["otherData"]["slices"]
    assert write(comparison.results[0], tmp_path / "t.json") == []
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
