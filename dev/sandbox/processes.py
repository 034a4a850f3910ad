"""Starts and ends the sandbox's long-running processes, which are identified by pid and start time."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from dev.sandbox.network import inside
from dev.sandbox.paths import LOGS, STATE

_RECORDS = STATE / "run"
_CHILDREN: list[subprocess.Popen[bytes]] = []
"""Processes that go on running after this one. Without a reference, Popen would warn about its child."""


def start(
    name: str, command: Sequence[str | Path], *, in_namespace: bool = True, env: Mapping[str, str] | None = None
) -> None:
    """Start ``name`` unless it runs, detached from this process, with its output in the log folder."""
    if running(name):
        return
    LOGS.mkdir(parents=True, exist_ok=True)
    _RECORDS.mkdir(parents=True, exist_ok=True)
    full = [str(c) for c in (inside(command) if in_namespace else command)]
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            full,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, **(env or {})},
        )
    _CHILDREN.append(process)
    record = {"pid": process.pid, "started": _started(process.pid)}
    (_RECORDS / f"{name}.json").write_text(json.dumps(record))


def pid_of(name: str) -> int | None:
    """Return the recorded process, None if it is not alive: a recycled pid has another start time."""
    try:
        record = json.loads((_RECORDS / f"{name}.json").read_text())
        pid, started = int(record["pid"]), record["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if _started(pid) == started and _alive(pid) else None


def running(name: str) -> bool:
    """Tell whether the recorded process is alive."""
    return pid_of(name) is not None


def names() -> list[str]:
    """Return the names of all recorded processes."""
    return sorted(p.stem for p in _RECORDS.glob("*.json"))


def stop(name: str, seconds: float = 5.0) -> None:
    """End a recorded process and what it started in its session: TERM, then KILL after ``seconds``."""
    pid = pid_of(name)
    if pid is not None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            _signal_session(pid, sign)
            until = time.monotonic() + seconds
            while _alive(pid) and time.monotonic() < until:
                time.sleep(0.05)
            if not _alive(pid):
                break
        _signal_session(pid, signal.SIGKILL)
    (_RECORDS / f"{name}.json").unlink(missing_ok=True)
    for child in _CHILDREN:
        child.poll()  # one that ended here is not missed at this process's own end


def kill_shims(socket: Path) -> None:
    """Kill the shims of the containerd behind ``socket``: they outlive it, and keep the containers."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if is_shim_of(words, socket):
            _kill(int(folder.name), signal.SIGKILL)


def is_shim_of(words: Sequence[str], socket: Path) -> bool:
    """Tell whether a command line is that of a shim of the containerd behind ``socket``."""
    return Path(words[0]).name.startswith("containerd-shim") and ("-address", str(socket)) in pairwise(words)


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    if state == "Z":
        _reap(pid)
        return False
    return True


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _signal_session(pid: int, sign: signal.Signals) -> None:
    try:
        os.killpg(pid, sign)  # each process was made the leader of a session and group of its own
    except (ProcessLookupError, PermissionError):
        return


def _kill(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return
