"""Servers that speak HTTP and behave as the real ones do, for tests of whole commands.

``tests/faults/test_conversation.py`` asks them and the real servers the same, and compares the answers.
"""

SOON = 10.0
"""Seconds within which what must not be waited for has happened: a busy machine needs far less."""
LONG = 30.0
"""Seconds that something takes which must not be waited for."""
