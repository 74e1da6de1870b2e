"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvolume.errors import InputError


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when not.

    Raises InputError where `path` exists and `force` is not set, or cannot be written.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a directory: name a file.")
        if path.exists() and not force:
            raise InputError(
                f"{path} exists already: choose another name, or overwrite it with --force (force=True)."
            )
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:50]}.", dir=path.parent)
        os.close(handle)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.") from None
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from None
    finally:
        temporary.unlink(missing_ok=True)
