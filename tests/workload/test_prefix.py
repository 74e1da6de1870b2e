"""Ids of prompt blocks: read, cut, chained, compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kvolume import InputError, Workload
from kvolume.workload import PrefixBlocks, write

ROWS = [[0, 1, 2], [0, 1], [0, 3], [4]]


def test_rows_follow_their_requests() -> None:
    w = Workload([0, 1, 2, 3], [1500, 600, 1024, 100], [1, 1, 1, 1], prefix=PrefixBlocks.of(ROWS))
    assert w.burst().prefix is w.prefix
    some = w.take([2, 0])
    assert some.prefix.ids.tolist() == [0, 3, 0, 1, 2]
    assert some.prefix.offsets.tolist() == [0, 2, 5]
    assert w.slice(3).prefix.ids.tolist() == [4]


def test_common_beginnings_end_at_the_first_id_of_ones_own() -> None:
    assert PrefixBlocks.of(ROWS, 16).common().tolist() == [32, 32, 16, 0]
    assert PrefixBlocks.of([[], []], 16).common().tolist() == [0, 0]


def test_ids_of_contents_are_told_apart_by_what_precedes_them() -> None:
    chained = PrefixBlocks.of([[7, 9], [8, 9], [7, 9]]).chained()
    assert chained[1] == chained[5] != chained[3]
    already = PrefixBlocks.of(ROWS).chained()
    assert already.tolist() == [0, 1, 2, 0, 1, 0, 3, 4]


def test_the_size_of_a_block_follows_from_the_prompts(tmp_path: Path) -> None:
    for size in (512, 16):
        file = tmp_path / f"{size}.jsonl"
        lines = [{"timestamp": k + 0.5, "input_length": size * len(row) - k, "output_length": 5, "hash_ids": row}
                 for k, row in enumerate(ROWS)]  # fmt: skip
        file.write_text("\n".join(map(json.dumps, lines)))
        w = Workload.read(file)
        assert w.prefix.tokens == size
        for suffix in (".jsonl", ".parquet"):
            if suffix == ".parquet":
                pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
            again = Workload.read(write(w, tmp_path / f"again{size}{suffix}"))
            np.testing.assert_array_equal(again.prefix.ids, w.prefix.ids)


@pytest.mark.parametrize("ids", [None, "x", [1, 2, 3], [1.5]])
def test_ids_that_do_not_fit_are_left_out_with_a_note(tmp_path: Path, ids: object) -> None:
    file = tmp_path / "log.jsonl"
    rows = [{"timestamp": 0, "input_length": 10, "output_length": 5, "hash_ids": x} for x in ([1], ids)]
    file.write_text("\n".join(map(json.dumps, rows)))
    w = Workload.read(file)
    assert w.prefix is None
    assert "hash_ids were left out" in " ".join(w.notes)


def test_rows_that_do_not_match_are_refused() -> None:
    with pytest.raises(InputError, match="prefix has 1 rows, but prompt_tokens has 2"):
        Workload([0, 0], [5, 5], [1, 1], prefix=PrefixBlocks.of([[1]]))
    with pytest.raises(InputError, match="Index 1: prefix has 2 ids for blocks of 512 tokens"):
        Workload([0, 0], [5, 5], [1, 1], prefix=PrefixBlocks.of([[1], [1, 2]]))
