"""Logs in, and decides what a failed login says about the password and whether it may be sent again.

Argo CD locks an account for 5 minutes after 5 refused logins. It uses the same words for a wrong password, an unknown
account, a locked account and too many logins in flight (``util/session/sessionmanager.go``,
``server/session/ratelimiter.go``). In the last case it has not looked at the password; only the time that the refusal
took shows that.
"""

import random
import re
import time
from collections import Counter

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.calls import VERSION_PATH, Calls
from gitops_runtime_auth.errors import (
    AnswerError,
    AuthError,
    ConfigurationError,
    KeyRefusedError,
    LoginRefusedError,
    LoginUnansweredError,
    Refusal,
    RetryableError,
    TemporaryError,
    WrongServerError,
)
from gitops_runtime_auth.retry import retry

_LONGEST_NAME = 32
"""Bytes (``maxUsernameLength``)."""
_PROBES = 3
"""Requests by which the present speed of Argo CD is measured."""
_RIGHT_PASSWORD = {Refusal.ACCOUNT_DISABLED: "is disabled", Refusal.NO_LOGIN_CAPABILITY: "may not log in"}
"""Refusals that Argo CD sends only after the right password."""
_LOCKOUT = "5 minutes"
_AMBIGUOUS = (
    f"the password is wrong, the account does not exist, or it is locked for {_LOCKOUT} after 5 failed logins (Argo CD"
    " uses the same words for all three)"
)


class Logins:
    """Sends the logins of one run at one Argo CD, and counts those of which the outcome was unclear."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._timing = calls.timing
        self._verdict_seconds = 2 * calls.timing.fastest_verdict
        """Time for a verdict of an idle Argo CD (``verificationDelayNoiseMax``). A login needs at least this much."""
        self._sends: Counter[str] = Counter()
        """By user name: how often Argo CD may have looked at a password since the last login that succeeded."""
        self._crowded = False
        """Whether Argo CD has refused a login because too many are in flight."""

    def log_in(self, username: str, password: str, *, again_in_doubt: bool) -> str:
        """Send a login and return the session token.

        The password is sent only to a server that has just shown that it is Argo CD. It is sent again, until the
        deadline, if Argo CD has certainly not looked at it; if that is unclear, once more with ``again_in_doubt``.
        Raises

        - ConfigurationError, without a login, if no account of Argo CD can have this name;
        - LoginRefusedError, which must not be retried, because five refusals lock the account;
        - KeyRefusedError if the password is right, but the account is disabled or may not log in;
        - LoginUnansweredError if Argo CD may have looked at the password, but sent no verdict;
        - RetryableError if the deadline has passed, and Argo CD has certainly not looked at the password;
        - WrongServerError if another server answers, AnswerError for other failures of Argo CD.
        """
        require_possible(username)
        most = 2 if again_in_doubt else 1
        deadline = self._calls.deadline
        last = deadline.at_most(max(0.0, deadline.left() - self._verdict_seconds))
        try:
            return retry(last, "Login", lambda: self._attempt(username, password, most), self._timing)
        except (LoginRefusedError, LoginUnansweredError):
            raise
        except AuthError as e:
            if self._sends[username]:
                raise self._unanswered(username, e) from None
            if isinstance(e, RetryableError):
                e.sent = False  # a request for the version may have been sent, but no password
            raise

    def _attempt(self, username: str, password: str, most: int) -> str:
        """Send the password, at most ``most`` times if Argo CD may have looked at it. Raises RetryableError, too."""
        while True:
            if not self._calls.is_argocd:
                self._calls.version()
            try:
                return self._send(username, password)
            except KeyRefusedError as e:
                self._judge(e, username)
                if self._sends[username] >= most or not self._is_doubtful(e.seconds) or not self._pause():
                    raise self._refused(username, _AMBIGUOUS) from None
            except RetryableError as e:
                if not e.sent:
                    raise
                self._sends[username] += 1
                if self._sends[username] >= most:
                    raise self._unanswered(username, e) from None
                raise

    def _send(self, username: str, password: str) -> str:
        calls = self._calls
        calls.is_argocd = False
        left = calls.deadline.left()
        if left < self._verdict_seconds:
            # Argo CD would look at the password, but its verdict would come too late.
            why = f": {self._too_many()}" if self._crowded else "."
            raise TemporaryError(f"There is no time left for a login{why}", "Try again in a minute.", sent=False)
        try:
            body = {"username": username, "password": password}
            answer = calls.once("POST", "/api/v1/session", body=body, timeout=left)
        except AnswerError as e:
            if e.status == 400:  # codes.InvalidArgument, sent before Argo CD looks at the password
                raise self._refused(username, "it says that the user name is not valid") from None
            # A gateway's answer about a failure: Argo CD may have looked at the password.
            self._sends[username] += e.status >= 500 and e.code < 0
            raise
        del self._sends[username]
        return answer.string("token")

    def _judge(self, error: KeyRefusedError, username: str) -> None:
        """Count a refusal that may mean a wrong password. Raises an error for every other one.

        That is TemporaryError for a refusal that is faster than any verdict, because Argo CD delays every verdict.
        """
        url = self._calls.url
        if error.refusal in _RIGHT_PASSWORD:
            del self._sends[username]
            raise KeyRefusedError(
                f"Argo CD at {url} knows the password, but account {username} {_RIGHT_PASSWORD[error.refusal]}.",
                f"Enable account {username} and its login capability in ConfigMap argocd-cm.",
                refusal=error.refusal,
                seconds=error.seconds,
            )
        if error.refusal is Refusal.BLANK_PASSWORD:
            raise self._refused(username, "the password is blank")
        if error.refusal is not Refusal.AMBIGUOUS_LOGIN:
            raise WrongServerError(
                f"Argo CD at {url} answers the login as if it were another request ({error.refusal.value}), which says"
                " nothing about the password.",
                "See which proxies are in front of Argo CD, and the log of argocd-server.",
            )
        if error.seconds < self._timing.fastest_verdict:
            self._crowded = True
            raise TemporaryError(self._too_many(), "Try again in a minute.", sent=False)
        self._sends[username] += 1

    def _is_doubtful(self, seconds: float) -> bool:
        """Tell whether Argo CD may have refused after ``seconds`` without looking at the password.

        That is so if it had too many logins in flight before, or if times prove nothing at the moment: a few cheap
        requests show how long an answer takes now, and by how much the times differ.
        """
        if self._crowded:
            return True
        took = []
        for _ in range(_PROBES):
            try:
                took.append(self._calls.once("GET", VERSION_PATH).seconds)
            except AuthError:
                return True
        return seconds - max(took) < self._timing.fastest_verdict or max(took) - min(took) > self._timing.jitter

    def _pause(self) -> bool:
        """Wait until an overload may have ended; tell whether there was time for that and a login."""
        seconds = self._timing.overload_passes * random.uniform(1.0, 1.3)  # noqa: S311 (jitter, not a secret)
        if self._calls.deadline.left() < seconds + self._verdict_seconds:
            return False
        log.progress(f"Login: Argo CD may not have looked at the password; sending it once more in {seconds:.0f} s.")
        time.sleep(seconds)
        return True

    def _too_many(self) -> str:
        return f"Argo CD at {self._calls.url} has too many logins in flight."

    def _refused(self, username: str, why: str) -> LoginRefusedError:
        return LoginRefusedError(
            f"Argo CD at {self._calls.url} refuses the login of account {username}: {why}.",
            f"Wait {_LOCKOUT}, try the password once with argocd login --username {username}, put the right one in the"
            " Secret or values, and run helm upgrade --install again.",
            sends=self._sends[username],
        )

    def _unanswered(self, username: str, last: AuthError) -> LoginUnansweredError:
        sends = self._sends[username]
        logins = "a login" if sends == 1 else f"{sends} logins"
        return LoginUnansweredError(
            f"Argo CD at {self._calls.url} may have refused {logins} of account {username} without an answer: {last}",
            f"Make sure that Argo CD is ready, wait {_LOCKOUT}, and try again: more attempts could lock the account.",
            sends=sends,
        )


def require_possible(username: str) -> None:
    """Raise ConfigurationError for a name that no local account can have: no login is needed to know that.

    ``accounts.NAME`` is a key of a ConfigMap, which Argo CD splits at its dots (``util/settings/accounts.go``).
    """
    if len(username.encode()) > _LONGEST_NAME:
        why = f"is longer than the {_LONGEST_NAME} bytes that Argo CD allows"
    elif "@" in username:
        why = "is an e-mail address, which only users of single sign-on have: they have no password in Argo CD"
    elif not re.fullmatch(r"[-_a-zA-Z0-9]+", username):
        why = "has characters that no account name of Argo CD can have"
    else:
        return
    raise ConfigurationError(
        f'The user name "{username}" {why}.',
        "Set auth.username to a local account of Argo CD: argocd account list shows them.",
    )
