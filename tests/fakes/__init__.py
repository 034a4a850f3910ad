"""Servers that speak HTTP and behave as the real ones do, for tests of whole commands.

``tests/faults/test_conversation.py`` asks them and the real servers the same, and compares the answers.
"""

import time
from collections.abc import Callable

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
