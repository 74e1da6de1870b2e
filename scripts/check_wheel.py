"""Say what a built wheel lacks or should not have: `python scripts/check_wheel.py WHEEL`."""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from zipfile import ZipFile

NEEDED = (
    "kvolume/py.typed",
    "kvolume/workload/facts.json",
    "kvolume/predict/facts.json",
    "kvolume-*.dist-info/licenses/LICENSE",
    "kvolume-*.dist-info/entry_points.txt",
)
ALLOWED = ("kvolume/*.py", "kvolume/*.json", "kvolume/py.typed", "kvolume-*.dist-info/*")


def main(path: str) -> int:
    names = ZipFile(path).namelist()
    faults = [f"{path} lacks {need}" for need in NEEDED if not any(fnmatch(n, need) for n in names)]
    faults += [f"{path} should not have {n}" for n in names if not any(fnmatch(n, a) for a in ALLOWED)]
    print("\n".join(faults) or f"{path.rpartition('/')[2]}: {len(names)} files, nothing missing, nothing too many")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
