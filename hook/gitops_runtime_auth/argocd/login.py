"""Logins: what each outcome says about the password, and how often one may be sent before an account is locked.

Argo CD words a wrong password, a locked account and "too many logins in flight" alike (``util/session`` of 3.6);
only the time that a refusal takes tells the last, which never looked at the password, from the others.
"""

from typing import Protocol

from gitops_runtime_auth.argocd.http import Answer, Transport
from gitops_runtime_auth.argocd.refusal import NO_VERDICT_TOLD_APART
from gitops_runtime_auth.errors import (
    AnswerError,
    AuthError,
    KeyRefusedError,
    LoginRefusedError,
    LoginUnansweredError,
    RetryableError,
    TemporaryError,
)
from gitops_runtime_auth.retry import Deadline

LOCKOUT = "5 minutes"
FASTEST_VERDICT = 0.5
"""Seconds. Argo CD delays each login it looks at by at least this much (``verificationDelayNoiseMin``)."""

_UNCERTAIN_LOGINS = 2
_DOUBTFUL_LOGINS = 2
_PROBES = 3
_PROBE_TIMEOUT = 15.0
_JITTER = 0.1
"""Seconds by which equal requests differ where times mean nothing: on an idle machine it is a hundredth of that."""
_OVERLOAD_PASSES = 15.0
"""Seconds to wait before a password is sent again that may have been looked at."""


class Send(Protocol):
    """``Transport.send``, timed."""

    def __call__(self, method: str, path: str, *, timeout: float, body: object = None) -> Answer:
        """Send one request."""


class Logins:
    """All logins of one run at one Argo CD: what was unclear about one counts for the next."""

    def __init__(self, send: Send, transport: Transport, deadline: Deadline) -> None:
        self._send = send
        self._transport = transport
        self._deadline = deadline
        self._uncertain = 0
        self._doubtful = 0
        self.before: list[float] = []
        """Seconds that harmless answers took just before a login: what says how busy all are, besides ``_PROBES``."""
        self._crowded = False
        """Argo CD has refused a login at once: it has more in flight than it takes."""

    def attempt(self, username: str, password: str) -> str:
        """Send a login once and return the session token.

        Raises LoginRefusedError, never to be tried again: five refusals lock the account; or KeyRefusedError when
        Argo CD says that the account is disabled or may not log in. A refusal that comes faster than any verdict can
        is Argo CD's limit of logins in flight: TemporaryError. A login whose outcome was lost on the way may have
        been a refusal, so what heals is raised twice only, then LoginUnansweredError.
        """
        body = {"username": username, "password": password}
        try:
            answer = self._send("POST", "/api/v1/session", body=body, timeout=max(1.0, self._deadline.left()))
        except KeyRefusedError as e:
            raise self._refusal(e, username, self._transport.waited) from None
        except AnswerError as e:
            if e.status == 400:
                raise self._refused(username, "it says the user name or password has no valid form") from None
            raise
        except RetryableError as e:
            self._uncertain += e.sent
            if self._uncertain + self._doubtful > _UNCERTAIN_LOGINS:
                raise LoginUnansweredError(
                    f"Argo CD at {self._url} did not answer {self._uncertain + self._doubtful} logins in a row.",
                    "Make sure that Argo CD is ready, then try again: more attempts could lock the account.",
                    status=0,
                    code=-1,
                ) from None
            raise
        return answer.string("token")

    @property
    def _url(self) -> str:
        return self._transport.server.url

    def _refusal(self, error: KeyRefusedError, username: str, seconds: float) -> AuthError:
        if "is disabled" in error.reason or "no login" in error.reason:
            return error  # only the right password is told this, so it says nothing against the password
        if error.reason == NO_VERDICT_TOLD_APART and self._no_verdict(seconds):
            return TemporaryError(
                f"Argo CD at {self._url} has too many logins in flight.",
                "Try again in a minute.",
                retry_after=0.0 if seconds < FASTEST_VERDICT else _OVERLOAD_PASSES,
            )
        return self._refused(
            username,
            f"the password is wrong, the account does not exist, or it is locked for {LOCKOUT}"
            " after 5 failed logins (Argo CD words these alike)",
        )

    def _no_verdict(self, seconds: float) -> bool:
        """Tell whether a refusal after ``seconds`` came too fast for Argo CD to have looked at the password.

        On an overloaded machine that can't be told from the time alone. There a refusal that may have been none counts
        as none, with a long wait, and a few times only: never as often as locks an account.
        """
        if seconds < FASTEST_VERDICT:
            self._crowded = True
            return True
        if self._uncertain + self._doubtful >= _DOUBTFUL_LOGINS or not self._is_doubtful(seconds):
            return False
        self._doubtful += 1
        return True

    def _is_doubtful(self, seconds: float) -> bool:
        """Ask what costs Argo CD nothing, and see how long that takes just now, and how differently each time."""
        if self._crowded:
            return True
        took = []
        for _ in range(_PROBES):
            try:
                self._send("GET", "/api/version", timeout=_PROBE_TIMEOUT)
            except AuthError:
                return False
            took.append(self._transport.waited)
        quickest, slowest = min(took), max(took + self.before)
        return seconds - quickest < FASTEST_VERDICT or slowest - quickest > _JITTER

    def _refused(self, username: str, why: str) -> LoginRefusedError:
        return LoginRefusedError(
            f"Argo CD at {self._url} refuses the login of account {username}: {why}.",
            f"Wait {LOCKOUT}, try the password once with argocd login --username {username}, put the right one in the"
            " Secret or values, and run helm upgrade --install again.",
        )
