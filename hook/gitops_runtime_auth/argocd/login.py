"""Logins: what each outcome says about the password, and how often one may be sent before an account is locked.

Argo CD locks an account for 5 minutes after 5 refused logins. It words a wrong password, an unknown account, a locked
account and "too many logins in flight" alike (``util/session/sessionmanager.go``, ``server/session/ratelimiter.go``).
Only the time that a refusal takes tells the last, which never looked at the password, from the others.
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
_RIGHT_PASSWORD = {Refusal.ACCOUNT_DISABLED: "is disabled", Refusal.NO_LOGIN_CAPABILITY: "may not log in"}
"""What Argo CD says only to whoever knows the password."""
_LOCKOUT = "5 minutes"
_ALIKE = (
    f"the password is wrong, the account does not exist, or it is locked for {_LOCKOUT} after 5 failed logins (Argo CD"
    " words these alike)"
)


class Logins:
    """The logins of one run at one Argo CD: what was unclear about one counts for the next."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._timing = calls.timing
        self._verdict_seconds = 2 * calls.timing.fastest_verdict
        """How long a verdict takes at an idle Argo CD, at most (``verificationDelayNoiseMax``): less is no use."""
        self._sends: Counter[str] = Counter()
        """By user name: how often Argo CD may have looked at a password since the last login that succeeded."""
        self._crowded = False
        """Argo CD has refused a login at once: it has more in flight than it takes."""

    def log_in(self, username: str, password: str, *, again_in_doubt: bool) -> str:
        """Send a login and return the session token.

        The password is sent only to what has just shown to be Argo CD. It is sent again, until the deadline, while it
        is certain that Argo CD did not look at it; once more in doubt, with ``again_in_doubt``. Raises

        - ConfigurationError without a login, when Argo CD can't have an account of this name;
        - LoginRefusedError, which is never to be tried again: five refusals lock the account;
        - KeyRefusedError when the password is right, but the account is disabled or may not log in;
        - LoginUnansweredError when Argo CD may have looked at the password and no verdict came back;
        - RetryableError when the deadline has passed and Argo CD has certainly looked at no password;
        - WrongServerError when it is not Argo CD that answers, AnswerError for other failures of Argo CD.
        """
        _require_possible(username)
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
        """Send the password, ``most`` times at most if Argo CD may have looked at it. Raises RetryableError besides."""
        while True:
            if not self._calls.is_argocd:
                self._calls.version()
            try:
                return self._send(username, password)
            except KeyRefusedError as e:
                self._judge(e, username)
                if self._sends[username] >= most or not self._is_doubtful(e.seconds) or not self._pause():
                    raise self._refused(username, _ALIKE) from None
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
            # Argo CD would look at the password, and nobody would hear what it says.
            why = f": {self._too_many()}" if self._crowded else "."
            raise TemporaryError(f"There is no time left for a login{why}", "Try again in a minute.", sent=False)
        try:
            body = {"username": username, "password": password}
            answer = calls.once("POST", "/api/v1/session", body=body, timeout=left)
        except AnswerError as e:
            if e.status == 400:  # codes.InvalidArgument: said before any password is looked at
                raise self._refused(username, "it says that the user name has no valid form") from None
            # A gateway's words about a failure: Argo CD may have seen the password before.
            self._sends[username] += e.status >= 500 and e.code < 0
            raise
        del self._sends[username]
        return answer.string("token")

    def _judge(self, error: KeyRefusedError, username: str) -> None:
        """Count a refusal that may mean a wrong password. Raises an error for every other one.

        TemporaryError for one that comes faster than any verdict can: Argo CD delays each login that it looks at.
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
                "Look at what stands in front of Argo CD, and at the log of argocd-server.",
            )
        if error.seconds < self._timing.fastest_verdict:
            self._crowded = True
            raise TemporaryError(self._too_many(), "Try again in a minute.", sent=False)
        self._sends[username] += 1

    def _is_doubtful(self, seconds: float) -> bool:
        """Tell whether Argo CD may have refused after ``seconds`` without a look at the password.

        It may when it was seen crowded, and when times mean nothing just now: what costs Argo CD nothing is asked a few
        times, to see how long that takes and how much it differs.
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
        """Wait until an overload may have passed; tell whether there is time for that and a login."""
        seconds = self._timing.overload_passes * random.uniform(1.0, 1.3)  # noqa: S311 (jitter, not a secret)
        if self._calls.deadline.left() < seconds + self._verdict_seconds:
            return False
        log.progress(f"Login: Argo CD is busy and may not have looked at the password; once more in {seconds:.0f} s.")
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


def _require_possible(username: str) -> None:
    """Raise ConfigurationError for a name that no account can have: it is part of a ConfigMap's key, accounts.NAME."""
    if len(username.encode()) > _LONGEST_NAME:
        why = f"is longer than the {_LONGEST_NAME} bytes that Argo CD allows"
    elif "@" in username:
        why = "is an e-mail address, which only users of single sign-on have: they have no password in Argo CD"
    elif not re.fullmatch(r"[-._a-zA-Z0-9]+", username):
        why = "has characters that no account of Argo CD has"
    else:
        return
    raise ConfigurationError(
        f'The user name "{username}" {why}.',
        "Set auth.username to a local account of Argo CD: argocd account list shows them.",
    )
