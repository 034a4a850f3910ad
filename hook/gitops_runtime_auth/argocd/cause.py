"""The error behind an error: HTTP clients wrap what the network and the TLS library raise."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def find(error: BaseException | None, kind: type[E]) -> E | None:
    """Return the first error of ``kind`` among ``error`` and what caused it, None when there is none."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
