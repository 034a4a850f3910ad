"""Runs programs quietly, shows the end of their output if they fail, and prints steps with their duration."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class SandboxError(Exception):
    """The sandbox can't be made or used; the message says why and what to do."""


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print ``what`` and the seconds it took, on standard error."""
    print(f"  {what} ...", end="", file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", file=sys.stderr, flush=True)
        raise
    print(f" {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
) -> str:
    """Run a program and return what it printed. Raises SandboxError with the last lines when it fails."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run([str(c) for c in command], input=data, capture_output=True, env=env, cwd=cwd, check=False)
    if check and done.returncode:
        tail = b"\n".join((done.stdout + done.stderr).splitlines()[-12:]).decode(errors="replace")
        raise SandboxError(f"{' '.join(str(c) for c in command)[:300]} ended with {done.returncode}:\n{tail}")
    return done.stdout.decode(errors="replace")


def wait_for(what: str, seconds: float, probe: Callable[[], object], every: float = 0.2) -> None:
    """Call ``probe`` until it returns true. Raises SandboxError after ``seconds``."""
    until = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > until:
            raise SandboxError(f"{what} is not there after {seconds:.0f} s; its log is in the sandbox's log folder")
        time.sleep(every)
