"""Sends requests to one Argo CD within one deadline, and notes its version and its clock."""

import time

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.http import Answer, Transport
from gitops_runtime_auth.argocd.text import printable
from gitops_runtime_auth.errors import KeyRefusedError
from gitops_runtime_auth.retry import Deadline, retry
from gitops_runtime_auth.timing import Timing

VERSION_PATH = "/api/version"
_LONGEST_VERSION = 40
"""Characters."""


class Calls:
    """Sends requests, and notes Argo CD's clock and whether the server has shown that it is Argo CD."""

    def __init__(self, transport: Transport, deadline: Deadline, timing: Timing) -> None:
        self.url = transport.endpoint.url
        self.deadline = deadline
        self.timing = timing
        self.is_argocd = False
        """True if the server has sent its version since the last login: a password may be sent to it."""
        self._transport = transport
        self._dated: tuple[float, float] | None = None

    def version(self) -> str:
        """Return Argo CD's version. No credential is needed, so it shows that this is Argo CD before one is sent."""
        version = self.retried("Argo CD's version", "GET", VERSION_PATH).string("Version")
        self.is_argocd = True
        return printable(version, _LONGEST_VERSION)

    def now(self) -> float:
        """Return the Unix time by Argo CD's clock, from its last ``Date`` header; by this machine's if it sent none."""
        if self._dated is None:
            return time.time()
        date, noted = self._dated
        return date + time.monotonic() - noted

    def retried(self, what: str, method: str, path: str, bearer: str | None = None) -> Answer:
        """Send a request until it succeeds or fails for good, or the deadline passes. ``what`` names it in the log."""
        return retry(self.deadline, what, lambda: self.once(method, path, bearer=bearer), self.timing)

    def once(
        self,
        method: str,
        path: str,
        *,
        timeout: float | None = None,
        bearer: str | None = None,
        cookie: str | None = None,
        body: object = None,
        expected: int = 200,
    ) -> Answer:
        """Send a request once, as ``Transport.send`` does. The default ``timeout`` (seconds) is ``Timing.request``."""
        seconds = min(self.timing.request, self.timing.last_try + self.deadline.left()) if timeout is None else timeout
        try:
            with log.Span(f"{method} {path}"):
                answer = self._transport.send(
                    method, path, timeout=seconds, bearer=bearer, cookie=cookie, body=body, expected=expected
                )
        except KeyRefusedError as e:  # has a Date, too; a keeper with a refused key gets no other answer
            self._note(e.date)
            raise
        self._note(answer.date)
        return answer

    def _note(self, date: float | None) -> None:
        if date is not None:
            self._dated = date, time.monotonic()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
