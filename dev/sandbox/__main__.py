"""Entry point of ``python -m dev.sandbox``."""

import sys

from dev.sandbox.cli import main

sys.exit(main(sys.argv[1:]))
