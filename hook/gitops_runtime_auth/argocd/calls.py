"""Requests to one Argo CD within one deadline, and what they tell on the way: its version and its clock."""

import time

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.http import Answer, Transport
from gitops_runtime_auth.argocd.text import printable
from gitops_runtime_auth.errors import KeyRefusedError
from gitops_runtime_auth.retry import Deadline, retry
from gitops_runtime_auth.timing import Timing

VERSION_PATH = "/api/version"
_GRACE = 1.0
"""Seconds that a request may outlast the deadline, so that the last one is more than a formality."""
_LONGEST_VERSION = 40


class Calls:
    """Sends requests, notes Argo CD's clock, and whether this has shown to be Argo CD."""

    def __init__(self, transport: Transport, deadline: Deadline, timing: Timing) -> None:
        self.url = transport.endpoint.url
        self.deadline = deadline
        self.timing = timing
        self.is_argocd = False
        """The address has answered as Argo CD does since this was last set to False."""
        self._transport = transport
        self._dated: tuple[float, float] | None = None

    def version(self) -> str:
        """Return Argo CD's version. It needs no credential, and so shows that this is Argo CD before one is sent."""
        version = self.retried("Argo CD's version", "GET", VERSION_PATH).string("Version")
        self.is_argocd = True
        return printable(version, _LONGEST_VERSION)

    def now(self) -> float:
        """Return the Unix time by Argo CD's clock (its last ``Date`` and what passed since), by our own without one."""
        if self._dated is None:
            return time.time()
        date, noted = self._dated
        return date + time.monotonic() - noted

    def retried(self, what: str, method: str, path: str, bearer: str | None = None) -> Answer:
        """Send a request until it succeeds, fails for good, or the deadline passes. ``what`` names it in the log."""
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
        """Send a request once, as ``Transport.send`` does; ``timeout`` (seconds) is the usual one when not given."""
        seconds = min(self.timing.request, _GRACE + self.deadline.left()) if timeout is None else timeout
        try:
            with log.Span(f"{method} {path}"):
                answer = self._transport.send(
                    method, path, timeout=seconds, bearer=bearer, cookie=cookie, body=body, expected=expected
                )
        except KeyRefusedError as e:  # a refused key tells the time too, and a keeper may hear nothing else
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
