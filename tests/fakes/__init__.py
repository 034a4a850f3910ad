"""Servers that speak HTTP and behave as the real ones do, for tests of whole commands.

``tests/faults/test_conversation.py`` asks them and the real servers the same, and compares the answers.
"""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SOON = 10.0
"""Seconds within which what must not be waited for has happened: a busy machine needs far less."""
LONG = 30.0
"""Seconds that something takes which must not be waited for."""


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until ``holds()`` is true; fail when that takes so long that it will not come about any more."""
    until = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.005)


def signal_asleep(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal to a Python process once it sleeps or has ended; at once where /proc does not tell.

    Python looks for signals between two instructions. It sees one that comes after the last look before a sleep only
    when it wakes. That happened to one of some sixty runs of the unit tests.
    """
    stat = Path(f"/proc/{process.pid}/stat")
    if stat.exists():
        wait_until(lambda: stat.read_text().rpartition(") ")[2].startswith(("S", "Z")))
    process.send_signal(number)
