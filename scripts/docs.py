"""Keep what the documentation shows equal to what the commands print: `python scripts/docs.py [--tables] [FILE...]`.

A ```console block holds commands (`$ ...`) and their output; this runs them, in a folder of their own for each file,
and puts the output in. With --tables it also runs the command of every table that is marked so:

    <!-- table: python benchmarks/loads.py recorded -->  ...  <!-- end of table -->    (Markdown)
    <!-- text: python benchmarks/kernel.py -->  ...  <!-- end of text -->              (as it is)

Files that are shown whole, marked `<!-- file: examples/own_policy.py -->`, are copied.
Blocks that read ../shared/traces are left alone where that folder of traces is not beside the project.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"^<!-- file: (.+?) -->\n(.*?)^<!-- end of file -->$", re.DOTALL | re.MULTILINE)
TABLE = re.compile(r"^<!-- table: (.+?) -->\n(.*?)^<!-- end of table -->$", re.DOTALL | re.MULTILINE)
TEXT = re.compile(r"^<!-- text: (.+?) -->\n(.*?)^<!-- end of text -->$", re.DOTALL | re.MULTILINE)


def files() -> list[Path]:
    """Every page with something to run."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder to run commands in, with the traces beside it where they are beside the project."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch) / "work"
        work.mkdir()
        (work / "examples").symlink_to(ROOT / "examples")
        if SHARED.is_dir():
            (Path(scratch) / "shared").symlink_to(SHARED)
        yield work


def commands(block: str) -> list[str]:
    """The commands of a console block, with the lines that a backslash joins."""
    return [c.replace("\n> ", "\n") for c in re.findall(r"^\$ ((?:.*\\\n> )*.*)$", block, re.MULTILINE)]


def can_run(block: str) -> bool:
    """Is all that the block reads here?"""
    return "../shared/" not in block or SHARED.is_dir()


def replay(block: str, work: Path) -> str:
    """The block as it is when its commands are run now, in `work`."""
    shown = re.findall(r"^(\$ (?:.*\\\n> )*.*)$", block, re.MULTILINE)
    out = []
    for line, command in zip(shown, commands(block), strict=True):
        out.append(line + "\n")
        text = re.sub(r"^Compiling .*\n", "", run(command, work), flags=re.MULTILINE)  # the first time only
        out.append(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE))
        if text and not text.endswith("\n"):
            out.append("\n")
    return "".join(out)


def run(command: str, work: Path) -> str:
    """What a command prints on stdout and stderr; kvolume itself runs in this process, which is quicker."""
    words = shlex.split(command)
    if words[0] != "kvolume" or {"|", ">", "<", "&&"} & set(words):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        env = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"PATH": path}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=work,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.stdout
    from kvolume.cli import main

    both = io.StringIO()
    here, columns = Path.cwd(), os.environ.pop("COLUMNS", None)
    try:
        os.chdir(work)
        with contextlib.redirect_stdout(both), contextlib.redirect_stderr(both):
            main(words[1:])
    finally:
        os.chdir(here)
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return both.getvalue()


def essence(block: str) -> str:
    """A block without what differs from run to run: speeds."""
    return re.sub(r"^(Simulated [\d,]+ requests in ).*$", r"\1...", block, flags=re.MULTILINE)


def updated(text: str, *, tables: bool) -> str:
    """The page with every block and, if asked for, every table as the commands give them now."""
    with folder() as work:

        def console(match: re.Match[str]) -> str:
            old = match[1]
            if not can_run(old):
                return match[0]
            new = replay(old, work)
            return match[0] if essence(new) == essence(old) else f"```console\n{new}```"

        text = CONSOLE.sub(console, text)
    text = FILE.sub(
        lambda m: f"<!-- file: {m[1]} -->\n```py\n{(ROOT / m[1]).read_text()}```\n<!-- end of file -->", text
    )
    if not tables:
        return text
    text = TABLE.sub(lambda m: f"<!-- table: {m[1]} -->\n{table(m[1])}\n<!-- end of table -->", text)
    return TEXT.sub(lambda m: f"<!-- text: {m[1]} -->\n```text\n{table(m[1])}```\n<!-- end of text -->", text)


def table(command: str) -> str:
    """What the command of a table prints."""
    words = [sys.executable if word == "python" else word for word in shlex.split(command)]
    print("  ", command, file=sys.stderr)
    return subprocess.run(words, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout


def main(arguments: list[str]) -> int:
    tables = "--tables" in arguments
    chosen = [Path(a).resolve() for a in arguments if a != "--tables"] or files()
    for path in chosen:
        old = path.read_text(encoding="utf-8")
        new = updated(old, tables=tables)
        print(f"{path.relative_to(ROOT)}: {'same' if new == old else 'updated'}")
        path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
