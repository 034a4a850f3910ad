"""The process: the only place that exits, and the last net under every failure."""

import gc
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from gitops_runtime_auth import cli, log
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.timing import Timing

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes reads a container's last words (``terminationMessagePath``)."""


def main(argv: Sequence[str], timing: Timing = Timing()) -> int:  # noqa: B008
    """Run a command and return its exit code (sysexits; see ``errors``). Ends every failure in two sentences."""
    log.setup()
    try:
        return cli.run(argv, timing)
    except AuthError as e:
        return _fail(e.problem, e.remedy, e.exit_code)
    except KeyboardInterrupt:
        return 130
    except Exception as e:
        # Only where it happened: a traceback's text can hold values, and values can be credentials.
        frame = traceback.extract_tb(e.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        return _fail(
            f"This program failed in a way it was not made for ({type(e).__name__} at {where}).",
            "Run the command again, and report this line if it comes back.",
            os.EX_TEMPFAIL,
        )


def _fail(problem: str, remedy: str, code: int) -> int:
    log.error(problem)
    log.error(f"What to do: {remedy}")
    if TERMINATION_LOG.exists():
        try:
            TERMINATION_LOG.write_text(f"{problem}\n{remedy}\n", encoding="utf-8", errors="replace")
        except OSError as e:
            log.debug(f"No termination message could be written: {e.strerror}")
    return code


def run() -> None:
    """Entry point of the command ``gitops-runtime-auth``."""
    sys.setswitchinterval(
        0.0005
    )  # a login is timed (gitops_runtime_auth/argocd/login.py) while another thread loads the Kubernetes client
    code = main(sys.argv[1:])
    gc.freeze()  # or Python searches all that was loaded for garbage on its way out: 0.04 s
    sys.exit(code)


if __name__ == "__main__":
    run()
