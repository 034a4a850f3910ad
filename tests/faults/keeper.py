"""The keeper as it is, at a port of the tests' choice: ``python -m tests.faults.keeper PORT``."""

import os
import sys

from gitops_runtime_auth.commands import keep
from gitops_runtime_auth.timing import Timing

if __name__ == "__main__":
    sys.exit(keep.run(os.environ, Timing(), int(sys.argv[1])))
