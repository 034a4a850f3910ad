"""Retries what is retryable, within one deadline for a whole run."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import RetryableError
from gitops_runtime_auth.timing import Timing

T = TypeVar("T")

_LONGEST_ASKED = 86400.0
"""Seconds. This is more than any deadline, so that a run that is asked to wait longer ends at once."""


@dataclass(frozen=True)
class Deadline:
    """The moment at which a run ends itself with a message, before Kubernetes kills it."""

    seconds: float
    """Duration of the run from the creation of this object."""
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Return the seconds left, never less than 0."""
        return max(0.0, self.started + self.seconds - time.monotonic())

    def at_most(self, seconds: float) -> "Deadline":
        """Return a deadline in ``seconds`` from now, or this one if that is sooner."""
        return Deadline(min(seconds, self.left()))


def asked_to_wait(header: str) -> float:
    """Return the seconds in a ``Retry-After`` header, a number or a date (RFC 9110, 10.2.3), 0 if there are none."""
    if header.isascii() and header.isdigit():
        return min(float(header), _LONGEST_ASKED)
    try:
        seconds = parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, OverflowError, OSError):
        return 0.0
    return min(max(0.0, seconds), _LONGEST_ASKED)


def retry(deadline: Deadline, what: str, attempt: Callable[[], T], timing: Timing) -> T:
    """Call ``attempt`` until it returns or fails for good, or the deadline passes.

    Only a RetryableError is retried, with jitter below an exponential ceiling, and not sooner than the server asks.
    ``what`` names the step in the log. Raises the last error unchanged.
    """

    def wait(state: RetryCallState) -> float:
        ceiling = min(timing.longest_retry, timing.first_retry * 2.0 ** min(state.attempt_number - 1, 16))
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RetryableError) else 0.0
        return asked + random.uniform(ceiling / 4, ceiling)  # noqa: S311 (jitter, not a secret)

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.progress(f"{what}: {error}; trying again in {state.upcoming_sleep:.1f} s ({deadline.left():.0f} s left).")

    return Retrying(
        stop=stop_before_delay(deadline.left()),
        wait=wait,
        retry=retry_if_exception_type(RetryableError),
        before_sleep=note,
        reraise=True,
    )(attempt)
