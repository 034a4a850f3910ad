"""Runs the process: turns every failure of a command into two sentences and an exit code. Nothing else exits."""

import gc
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from gitops_runtime_auth import cli, log, termination
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.timing import Timing

TERMINATION_LOG = Path("/dev/termination-log")
"""The file whose text Kubernetes shows as the reason why the container ended (``terminationMessagePath``)."""


def main(argv: Sequence[str], timing: Timing = Timing()) -> int:  # noqa: B008
    """Run the command that ``argv`` names and return its exit code: 0, one of ``errors``, 130 (Ctrl-C), 143 (SIGTERM).

    Every failure is written as two sentences into the log and the termination message. Raises nothing.
    """
    log.setup()
    try:
        return cli.run(argv, timing)
    except AuthError as e:
        return _fail(e.problem, e.remedy, e.exit_code)
    except KeyboardInterrupt:
        return 130
    except termination.Terminated:
        return _fail(
            "This run was ended from outside before it was done (SIGTERM).",
            "If its Job was deleted or replaced, there is nothing to do; otherwise run the command again.",
            termination.EXIT_CODE,
        )
    except Exception as e:
        return _fail(
            f"Unexpected internal error: {type(e).__name__} in {_place(e.__traceback__)}.",
            "Run the command again; if the error occurs again, report it with this line and the chart's version.",
            os.EX_TEMPFAIL,
        )


def _place(trace: TracebackType | None) -> str:
    """Return the line that raised, and the line of this package that led there.

    The rest of the traceback is left out, because it contains values, which can be credentials.
    """
    lines = [f"{frame.f_globals.get('__name__', '?')}:{number}" for frame, number in traceback.walk_tb(trace)]
    own = [line for line in lines if line.startswith(f"{__package__}.")]
    return lines[-1] if lines[-1:] == own[-1:] or not own else f"{lines[-1]}, called from {own[-1]}"


def _fail(problem: str, remedy: str, code: int) -> int:
    log.error(problem)
    log.error(f"What to do: {remedy}")
    if TERMINATION_LOG.exists():
        try:
            text = log.printable(f"{problem}\n{remedy}\n")
            TERMINATION_LOG.write_text(text, encoding="utf-8", errors="replace")
        except OSError as e:
            log.debug(f"The termination message could not be written ({e.strerror}).")
    return code


def run() -> None:
    """Run the program ``gitops-runtime-auth`` with the arguments, signals and exit code of the process."""
    termination.raise_at_sigterm(Timing().terminates)
    try:
        code = main(sys.argv[1:])
    except termination.Terminated:  # raised while another failure was being reported
        code = termination.EXIT_CODE
    # Without this, Python's last garbage collection visits every loaded object, which takes 0.04 s.
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    run()
