"""Entry point of ``python -m tests.sandbox``."""

import sys

from tests.sandbox.cli import main

sys.exit(main(sys.argv[1:]))
