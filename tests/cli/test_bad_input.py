"""Bad input gets one sentence, exit code 2 and no files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "tuple[int, str, str]"]

CASES = [
    (("--kv-tokens", "0"), "1 to 1000000000"),
    (("--kv-tokens", "-5"), "1 to 1000000000"),
    (("--kv-tokens", "1000000001"), "1 to 1000000000"),
    (("--kv-tokens", "128k"), "Did you mean 131072?"),
    (("--kv-tokens", "131072MB"), "Did you mean 131072?"),
    (("--kv-tokens", "much"), "plain number of tokens"),
    (("--kv-tokens", "30"), "--skip-oversized"),
    (("--load", "0"), "The load must be a number above 0"),
    (("--load", "-1"), "The load must be a number above 0"),
    (("--load", "nan"), "The load must be a number above 0"),
    (("--load", "high"), "--load"),
    (("--load", "1", "--burst"), "exclude each other"),
    (("--request-rate", "0"), "request rate must be a number above 0"),
    (("--request-rate", "1", "--load", "1"), "exclude each other"),
    (("--arrivals", "poisson"), "add --load"),
    (("--arrivals", "poison", "--load", "1"), "Did you mean 'poisson'?"),
    (("--arrivals", "gamma:cv=-1", "--load", "1"), "cv"),
    (("--num-prompts", "0"), "at least 1"),
    (("--num-prompts", "1.5"), "--num-prompts must be an integer"),
    (("--seed", "x"), "--seed must be an integer"),
    (("--seed", "-1"), "at least 0"),
    (("--policy", "svg"), "Did you mean 'svf'?"),
    (("--policy", "svf:shar=1"), "Did you mean 'share'?"),
    (("--policy", "svf:share=2"), "share"),
    (("--policy", "svf,fcfs"), "--policy svf --policy fcfs"),
    (("--policy", "svf", "--policy", "svf"), "given twice"),
    (("--policy",), "--policy requires an argument"),
    (("--clock", "unt"), "Did you mean 'unit'?"),
    (("--clock", "linear:bas=1"), "Did you mean 'base'?"),
    (("--predict", "nois"), "Did you mean 'noise'?"),
    (("--engine", "leaps"), "leap"),
    (("--polcy", "svf"), "Did you mean --policy?"),
    (("more",), "Unexpected argument 'more'"),
    (("--spec", "missing.json"), "cannot be read"),
    (("--out", "log.csv"), "is a file"),
    (("--out", "log.csv/o"), "cannot be written"),
]


@pytest.mark.parametrize(("options", "message"), CASES, ids=[" ".join(options) for options, _ in CASES])
def test_a_bad_option_gets_one_sentence_and_leaves_nothing(
    kvolume: Run, log: str, options: tuple[str, ...], message: str
) -> None:
    source = () if "--spec" in options else (log,)
    out = () if "--out" in options else ("--out", "o")
    code, stdout, stderr = kvolume("compare", *source, *out, *options)
    assert code == 2
    assert stdout == ""
    assert stderr.startswith("kvolume: error: ")
    assert stderr.count("\n") == 1
    assert message in stderr
    assert "\u2502" not in stderr  # no box
    assert [path.name for path in Path().iterdir()] == ["log.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("arrival_s,input_length\n0,1\n", "output"),
        ("arrival_s,input_length,output_length\n0,-1,5\n", "-1"),
        ("arrival_s,input_length,output_length\n0,nan,5\n", "nan"),
        ("arrival_s,input_length,output_length\n0,1.5,5\n", "1.5"),
        ("arrival_s,input_length,output_length\n0,1,0\n", "output"),
        ("arrival_s,input_length,output_length\nnan,1,5\n", "nan"),
    ],
)
def test_a_bad_file_gets_one_sentence_and_leaves_nothing(kvolume: Run, content: str, message: str) -> None:
    Path("bad.csv").write_text(content)
    code, stdout, stderr = kvolume("compare", "bad.csv", "--out", "o")
    assert (code, stdout) == (2, "")
    assert stderr.startswith("kvolume: error: ")
    assert stderr.count("\n") == 1
    assert message in stderr
    assert [path.name for path in Path().iterdir()] == ["bad.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compere",), "Did you mean"),
        (("compare", "nofile.csv"), "no file 'nofile.csv'"),
        (("compare", "azure2023_cod"), "Did you mean 'azure2023_code'?"),
        (("compare", "."), "directory"),
        (("compare", "--out", "-"), "understood for SOURCE only"),
        (("simulate", "--policy", "svg"), "Did you mean 'svf'?"),
        (("simulate", "--out", "x.txt"), "must end in .parquet, .csv or .jsonl"),
        (("simulate", "--out", "no/such/place.csv", "--perfetto", "."), "is a folder"),
        (("certify", "nofile.csv"), "no file"),
        (("optimum",), "SOURCE"),
        (("optimum", "azure2023_code", "--num-prompts", "3", "--time-limit", "0"), "time limit"),
        (("optimum", "azure2023_code", "--num-prompts", "3", "--clock", "linear:base=1"), "must be unit"),
        (("policies", "svg"), "Did you mean 'svf'?"),
        (("trace", "fetch", "azure2023_cod", "--out", "t.csv"), "Did you mean 'azure2023_code'?"),
        (("trace", "generate", "nothing", "--out", "t.csv"), "Unknown workload 'nothing'"),
        (
            ("trace", "generate", "azure2023_code", "--num-prompts", "3", "--out", "t.doc"),
            ".csv, .jsonl or .parquet",
        ),
        (("trace", "convert", "nofile.csv", "t.csv"), "nofile.csv"),
    ],
)
def test_every_verb_answers_bad_input_the_same_way(kvolume: Run, arguments: tuple[str, ...], message: str) -> None:
    code, stdout, stderr = kvolume(*arguments)
    assert (code, stdout) == (2, "")
    errors = [line for line in stderr.splitlines() if line.startswith("kvolume: error: ")]
    assert len(errors) == 1
    assert stderr.splitlines()[-1] == errors[0]
    assert message in errors[0]
    assert list(Path().iterdir()) == []


def _subprocess(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kvolume", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


def test_the_module_runs_as_a_command() -> None:
    good, bad = _subprocess("--version"), _subprocess("compare", "--load", "0")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.strip()
    assert (bad.returncode, bad.stdout) == (2, "")


def test_a_closed_pipe_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "kvolume", "trace", "list"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
    )
    os.close(write)
    assert process.returncode == 141
    assert process.stderr == b""


def test_an_interrupt_exits_with_130(kvolume: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kvolume.study.workloads.prepare", interrupted)
    assert kvolume("compare", "--out", "o") == (130, "", "kvolume: interrupted\n")
    assert list(Path().iterdir()) == []


def test_help_does_not_import_what_is_heavy() -> None:
    code = (
        "import sys; from kvolume.cli import main; main(['compare', '--help']);"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'numba', 'scipy', 'matplotlib', 'pyarrow')))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert process.returncode == 0, process.stderr
    for option in ("--kv-tokens", "--num-prompts", "--request-rate", "--seed", "--policy", "--json", "--out"):
        assert option in process.stdout
