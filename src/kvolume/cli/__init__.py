"""The command line: `kvolume VERB`. One file per verb, and no logic in any of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for bad input (one sentence on stderr), 130, 141."""
    from cyclopts import CycloptsError

    from kvolume.cli.app import STDIN, app
    from kvolume.errors import KvolumeError

    # cyclopts takes a lone - for an option; the converter of SOURCE turns the stand-in back.
    tokens = [STDIN if token == "-" else token for token in (sys.argv[1:] if argv is None else argv)]
    try:
        app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except (CycloptsError, KvolumeError) as error:
        print(f"kvolume: error: {_sentence(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("kvolume: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return 0


def _sentence(error: Exception) -> str:
    """The error on one line; our own one where cyclopts has wrapped it, or words for what cyclopts says tersely."""
    from cyclopts import UnusedCliTokensError

    from kvolume.cli.app import STDIN
    from kvolume.errors import KvolumeError

    if isinstance(error.__cause__, KvolumeError):
        error = error.__cause__
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        text = f"Unexpected argument '{error.unused_tokens[0]}'. See `kvolume COMMAND --help` for what is allowed."
    else:
        text = str(error)
    return " ".join(text.replace(STDIN, "-").split())
