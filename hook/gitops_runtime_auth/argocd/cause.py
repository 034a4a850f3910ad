"""Finds the error behind an error, because HTTP clients wrap what the network and the TLS library raise."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def find(error: BaseException | None, kind: type[E]) -> E | None:
    """Return the first error of ``kind`` among ``error`` and its causes, None if there is none."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
