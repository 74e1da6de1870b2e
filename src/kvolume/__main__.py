"""`python -m kvolume` is `kvolume`."""

import sys

from kvolume.cli import main

sys.exit(main())
