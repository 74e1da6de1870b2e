"""What the documentation shows is what happens: console blocks, doctests, examples, generated tables, links."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load(path: str) -> ModuleType:
    """A script of the project as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_script", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


docs = load("scripts/docs.py")
PAGES = [*docs.files(), ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
by_name = {"ids": lambda path: path.relative_to(ROOT).as_posix()}


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_console_blocks_show_what_the_commands_print(page: Path) -> None:
    with docs.folder() as work:
        for block in docs.CONSOLE.findall(page.read_text(encoding="utf-8")):
            if docs.can_run(block):
                assert docs.essence(docs.replay(block, work)) == docs.essence(block)


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_python_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one page are one session, run in an empty folder."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    test = doctest.DocTestParser().get_doctest("".join(blocks), {}, page.name, str(page), 0)
    monkeypatch.chdir(tmp_path)
    found: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    runner.run(test, out=found.append)
    assert not found, "".join(found)


def test_docstring_of_the_package() -> None:
    import kvolume

    assert doctest.testmod(kvolume).failed == 0


@pytest.mark.parametrize("example", EXAMPLES, **by_name)
def test_examples_print_what_stands_beside_them(example: Path, tmp_path: Path) -> None:
    out = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert out == example.with_suffix(".out").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", EXAMPLES, **by_name)
def test_an_example_is_shown_whole_and_is_short(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert any(text in page.read_text(encoding="utf-8") for page in PAGES)


def test_the_table_of_policies_is_current() -> None:
    tables = dict(docs.TABLE.findall((ROOT / "docs" / "policies.md").read_text(encoding="utf-8")))
    assert tables["python scripts/policies_table.py"].strip() == docs.table("python scripts/policies_table.py").strip()


def test_a_row_of_the_table_of_loads_is_current() -> None:
    """One cell row of benchmarks/loads.py, measured again."""
    loads = load("benchmarks/loads.py")
    row = loads.cells(loads.ratios("azure2023_code", 0.9, "recorded", 20_000))
    page = (ROOT / "docs" / "loads.md").read_text(encoding="utf-8")
    assert f"| azure2023_code | {' | '.join(row)} |" in page.partition("### Load 0.9\n")[2].partition("###")[0]


@pytest.mark.parametrize("page", PAGES, **by_name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {p.name for p in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.sh")), **by_name)
def test_shell_scripts_parse(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_ci_runs_the_checks() -> None:
    run = ROOT / ".ci" / "run"
    assert os.access(run, os.X_OK)
    assert "sh scripts/check.sh" in run.read_text(encoding="utf-8")
