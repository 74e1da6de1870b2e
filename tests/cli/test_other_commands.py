"""simulate, certify, optimum, trace and policies."""

from __future__ import annotations

import csv
import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvolume.policy import catalogue
from kvolume.workload import Workload

Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def golden(tmp_path: Path) -> str:
    rows = ("0,1,3", "0,5,1", "0,2,4", "0,0,2", "0,4,2", "0,1,1")
    (tmp_path / "golden.csv").write_text("arrival,input_length,output_length\n" + "\n".join(rows) + "\n")
    return "golden.csv"


@pytest.fixture
def finished(tmp_path: Path) -> str:
    rows = "".join(f"{i},{100 + i},{10 + i},{i + 2 + i * 0.01}\n" for i in range(20))
    (tmp_path / "finished.csv").write_text("arrival_s,input_length,output_length,finish_s\n" + rows)
    return "finished.csv"


def read_csv(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(name).read_text().splitlines()))


def test_simulate_writes_every_request_in_the_files_order(kvolume: Run, golden: str) -> None:
    for name in ("r.csv", "r.jsonl", "r.parquet"):
        code, out, _ = kvolume("simulate", golden, "--policy", "sjf", "--kv-tokens", "8", "--out", name)
        assert code == 0
        assert out.splitlines()[-1] == name
    rows = read_csv("r.csv")
    assert [int(row["start"]) for row in rows] == [3, 0, 4, 1, 1, 0]
    assert [row["prompt_tokens"] for row in rows] == ["1", "5", "2", "0", "4", "1"]
    lines = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert [line["start"] for line in lines] == [3, 0, 4, 1, 1, 0]
    pq = pytest.importorskip("pyarrow.parquet")
    assert pq.read_table("r.parquet").to_pydict()["start"] == [3, 0, 4, 1, 1, 0]


def test_what_never_happened_is_empty(kvolume: Run) -> None:
    Path("w.csv").write_text("arrival_s,input_length,output_length\n0,1,2\n0,90,20\n")
    assert kvolume("simulate", "w.csv", "--kv-tokens", "50", "--skip-oversized", "--out", "r.csv")[0] == 0
    _, big = read_csv("r.csv")
    assert (big["start"], big["finish"], big["latency"], big["rejected"]) == ("", "", "", "True")
    assert kvolume("simulate", "w.csv", "--kv-tokens", "50", "--skip-oversized", "--out", "r.jsonl")[0] == 0
    assert json.loads(Path("r.jsonl").read_text().splitlines()[1])["finish"] is None


def test_simulate_writes_a_timeline(kvolume: Run, golden: str) -> None:
    code, out, _ = kvolume("simulate", golden, "--kv-tokens", "8", "--perfetto", "t.json")
    assert code == 0
    assert out.splitlines()[-1] == "t.json"
    assert json.loads(Path("t.json").read_text())["traceEvents"]
    assert kvolume("simulate", golden, "--kv-tokens", "8", "--perfetto", "t.json")[0] == 2
    assert kvolume("simulate", golden, "--kv-tokens", "8", "--perfetto", "t.json", "--force")[0] == 0


def test_certify_prints_the_bound(kvolume: Run, golden: str) -> None:
    code, out, _ = kvolume("certify", golden, "--kv-tokens", "8")
    assert code == 0
    assert "No schedule has a mean latency below 2.913 rounds (mean busy time)" in out
    body = json.loads(kvolume("certify", golden, "--kv-tokens", "8", "--json")[1])
    assert body["bound"]["total_latency"] == pytest.approx(17.4754, abs=1e-4)
    assert "log" not in body


def test_a_log_with_finish_times_needs_a_clock_and_states_its_assumption(kvolume: Run, finished: str) -> None:
    code, _, err = kvolume("certify", finished)
    assert code == 2
    assert "--clock" in err
    code, out, _ = kvolume("certify", finished, "--clock", "linear:base=1e-2")
    assert code == 0
    assert "Assumption: " in out
    log = json.loads(kvolume("certify", finished, "--clock", "linear:base=1e-2", "--json")[1])["log"]
    assert log.keys() == {"mean_latency", "bound", "ratio", "assumption", "warning"}
    assert log["ratio"] > 1
    assert log["warning"] == ""


def test_a_clock_too_slow_for_the_log_is_said(kvolume: Run, finished: str) -> None:
    _, out, _ = kvolume("certify", finished, "--clock", "unit:seconds=1")
    assert "the clock is too slow" in out


def test_finish_times_can_be_ignored(kvolume: Run, finished: str) -> None:
    for options in (("--bound-only",), ("--load", "0.9")):
        code, out, _ = kvolume("certify", finished, *options)
        assert code == 0
        assert "Assumption" not in out


def test_the_optimum_of_the_golden_instance_is_proven(kvolume: Run, golden: str) -> None:
    pytest.importorskip("scipy")
    code, out, _ = kvolume("optimum", golden, "--kv-tokens", "8")
    assert code == 0
    assert "The optimum, proven, has a mean latency of 3.333 rounds (total 20)" in out
    found = json.loads(kvolume("optimum", golden, "--kv-tokens", "12", "--json")[1])["optimum"]
    assert found["proven"] is True
    assert found["total_latency"] == 17
    assert found["gap"] == 0
    assert len(found["start"]) == 6


def test_policies_are_listed_and_described(kvolume: Run) -> None:
    _, out, _ = kvolume("policies")
    for entry in catalogue():
        assert f"\n{entry.id} " in f"\n{out}"
        code, text, _ = kvolume("policies", entry.id)
        assert code == 0
        for word in ("knows", "guarantee", "paper", *entry.parameters):
            assert word in text
    rows = json.loads(kvolume("policies", "--json")[1])
    assert [row["policy"] for row in rows] == [entry.id for entry in catalogue()]


def test_traces_are_listed_and_described(kvolume: Run, golden: str) -> None:
    _, out, _ = kvolume("trace", "list")
    assert "azure2023_code" in out
    assert "CC-BY-4.0" in out
    assert json.loads(kvolume("trace", "list", "--json")[1]).keys() == {"built_in", "public"}
    assert "All requests arrive at once." in kvolume("trace", "info", golden)[1]
    info = json.loads(kvolume("trace", "info", "azure2023_conv", "--json")[1])
    assert info["requests"] == 19366
    assert 0.2 < info["load"] < 0.6
    assert "coefficient of variation" in kvolume("trace", "info", "azure2023_conv")[1]
    at_load = json.loads(kvolume("trace", "info", "azure2023_conv", "--load", "0.8", "--json")[1])
    assert at_load["load"] == pytest.approx(0.8, rel=0.01)
    assert "No arrival times" in kvolume("trace", "info", "sharegpt8k_lengths")[1]


def test_a_generated_trace_is_converted_and_read_back(kvolume: Run) -> None:
    generate = ("trace", "generate", "azure2023_code", "--num-prompts", "30", "--seed", "5", "--out")
    assert kvolume(*generate, "a.csv")[1] == "a.csv\n"
    assert kvolume(*generate, "b.csv")[0] == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert kvolume(*generate, "a.csv")[0] == 2
    assert kvolume("trace", "convert", "a.csv", "a.jsonl")[0] == 0
    one, two = Workload.read("a.csv"), Workload.read("a.jsonl")
    assert one.arrival_s.tolist() == two.arrival_s.tolist()
    assert one.output_tokens.tolist() == two.output_tokens.tolist()


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of one small trace, on this machine."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "trace.csv").write_text("arrival_s,input_length,output_length\n0,1,2\n")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(folder), **kwargs)  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/trace.csv"
        server.shutdown()


def test_fetch_downloads_and_checks(kvolume: Run, home: str) -> None:
    text = "arrival_s,input_length,output_length\n0,1,2\n"
    right, wrong = hashlib.sha256(text.encode()).hexdigest(), "0" * 64
    assert kvolume("trace", "fetch", "mine", "--url", home, "--sha256", wrong, "--out", "t.csv")[0] == 2
    assert not Path("t.csv").exists()
    code, out, err = kvolume("trace", "fetch", "mine", "--url", home, "--sha256", right, "--out", "t.csv")
    assert (code, out, err) == (0, "t.csv\n", "")
    assert Path("t.csv").read_text() == text
    assert "not verified" in kvolume("trace", "fetch", "mine", "--url", home, "--out", "u.csv")[2]
