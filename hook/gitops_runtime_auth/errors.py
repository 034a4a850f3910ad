"""Defines every failure of the product: one class per cause that a user can fix.

::

    AuthError                    problem, remedy, exit code
    ├── UsageError               64  the command line or the environment of the process is wrong
    ├── RetryableError               it may end by itself: these, and only these, are retried
    │   ├── UnreachableError     69  Argo CD or the Kubernetes API can't be reached
    │   └── TemporaryError       75  it answers that it can't handle the request now
    ├── ConflictError            75  somebody else wrote the object first
    ├── AnswerError              75  an answer that this program can't use, and that waiting does not change
    │   └── LoginUnansweredError     logins were sent, but no verdict came back
    ├── RefusedError             77  Argo CD or Kubernetes refuses
    │   ├── LoginRefusedError        the password is wrong, or the account is locked
    │   ├── KeyRefusedError          Argo CD does not accept the API key or session token
    │   ├── PrivilegeError           the account is disabled, missing, or lacks a capability
    │   ├── RbacError                Kubernetes refuses what the chart's Role should allow
    │   ├── AdmissionError           a policy of the cluster, or a quota, refuses the object
    │   └── NamespaceGoneError       the namespace is being deleted, so that nothing can be created in it
    └── ConfigurationError       78  the configuration can't work: values, Secrets, token, TLS, URL
        ├── MissingSecretError       a Secret or ConfigMap of the user, or a key in it, does not exist
        ├── ForeignSecretError       the Secret to write belongs to somebody else
        └── WrongServerError         another server than Argo CD answers (redirect, login page, gateway, certificate)

Exit codes are those of sysexits.h. A message never contains a credential or the body of an answer.
"""

import os
from enum import Enum
from typing import ClassVar


class Refusal(Enum):
    """Why Argo CD refuses. The value is the reason for messages, because Argo CD's own text is never shown.

    ``argocd.refusal`` finds it. The text of a server can contain what was sent to it.
    """

    KEY_REVOKED = "the key has been revoked"
    TOKEN_REVOKED = "the token has been revoked"  # noqa: S105
    ACCOUNT_DISABLED = "the account is disabled"
    ACCOUNT_MISSING = "the account does not exist"
    NO_API_KEY_CAPABILITY = "the account has no apiKey capability"
    NO_LOGIN_CAPABILITY = "the account has no login capability"
    PASSWORD_CHANGED = "the account's password has changed since the token was issued"  # noqa: S105
    EXPIRED = "the token has expired"
    FOREIGN_SIGNATURE = "the token is not signed by this Argo CD"
    UNREADABLE_TOKEN = "the token is not one that Argo CD can read"  # noqa: S105
    AMBIGUOUS_LOGIN = "wrong password, unknown account, or locked account"
    BLANK_PASSWORD = "the password is blank"  # noqa: S105
    KEY_ID_IN_USE = "the key id is in use"
    PERMISSION_DENIED = "permission denied"
    UNKNOWN = "unknown reason"


class AuthError(Exception):
    """A failure in two sentences: ``problem`` says what is wrong, ``remedy`` what to do."""

    exit_code: ClassVar[int] = os.EX_TEMPFAIL

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class UsageError(AuthError):
    """The command line or the environment of the process is wrong."""

    exit_code = os.EX_USAGE


class RetryableError(AuthError):
    """A failure that may end by itself, so that the request is retried until the deadline.

    ``sent`` means that the request may have reached the server and taken effect. ``retry_after`` is the time in seconds
    that the server asks to wait (``Retry-After``), 0 if it does not ask.
    """

    def __init__(self, problem: str, remedy: str, *, sent: bool, retry_after: float = 0.0) -> None:
        super().__init__(problem, remedy)
        self.sent = sent
        self.retry_after = retry_after


class UnreachableError(RetryableError):
    """There is no answer: connection refused, name not found, timeout."""

    exit_code = os.EX_UNAVAILABLE

    def __init__(self, problem: str, remedy: str, *, sent: bool = False) -> None:
        super().__init__(problem, remedy, sent=sent)


class TemporaryError(RetryableError):
    """The server answers that it can't handle the request now (408, 429, 5xx)."""

    def __init__(self, problem: str, remedy: str, *, retry_after: float = 0.0, sent: bool = True) -> None:
        super().__init__(problem, remedy, sent=sent, retry_after=retry_after)


class ConflictError(AuthError):
    """Somebody else wrote the object in the meantime, so that the caller must read it again and decide again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was changed by somebody else in the meantime.", "Run the command again.")


class AnswerError(AuthError):
    """An answer that this program can't use, with its HTTP ``status`` and its gRPC ``code`` (-1 if it has none)."""

    def __init__(
        self, problem: str, remedy: str, *, status: int, code: int = -1, refusal: Refusal = Refusal.UNKNOWN
    ) -> None:
        super().__init__(problem, remedy)
        self.status = status
        self.code = code
        self.refusal = refusal


class LoginUnansweredError(AnswerError):
    """Argo CD may have refused logins, but its answers were lost, so that further logins could lock the account.

    ``sends`` counts the logins that Argo CD may have looked at.
    """

    def __init__(self, problem: str, remedy: str, *, sends: int) -> None:
        super().__init__(problem, remedy, status=0)
        self.sends = sends


class RefusedError(AuthError):
    """Argo CD or Kubernetes refused the request; sending it again would not help."""

    exit_code = os.EX_NOPERM


class LoginRefusedError(RefusedError):
    """Argo CD refused user name and password. They are not sent again, because five refusals lock an account.

    ``sends`` counts the logins that Argo CD may have looked at, 0 if it has certainly compared no password.
    """

    def __init__(self, problem: str, remedy: str, *, sends: int) -> None:
        super().__init__(problem, remedy)
        self.sends = sends


class KeyRefusedError(RefusedError):
    """Argo CD does not accept a token, for the reason in ``refusal``.

    ``seconds`` is the time from the start of the request to the head of the answer: after a login it shows whether
    Argo CD has looked at the password. ``date`` is the Unix time of the answer by Argo CD's clock, None if unknown.
    """

    def __init__(
        self, problem: str, remedy: str, *, refusal: Refusal, seconds: float = 0.0, date: float | None = None
    ) -> None:
        super().__init__(problem, remedy)
        self.refusal = refusal
        self.seconds = seconds
        self.date = date


class FreshKeyRefusedError(KeyRefusedError):
    """Argo CD has just made a key and does not know it any more, because somebody else resets the account's keys."""


class PrivilegeError(RefusedError):
    """The account is disabled, missing, or lacks ``login`` or ``apiKey``."""


class RbacError(RefusedError):
    """The Kubernetes API refused a request that the chart's Role should allow."""


class AdmissionError(RefusedError):
    """A quota or an admission policy of the cluster refused the object, whatever the Role allows."""


class NamespaceGoneError(RefusedError):
    """The namespace is being deleted, so that the Kubernetes API creates nothing in it."""


class ConfigurationError(AuthError):
    """The user's configuration can't work, whatever the servers do."""

    exit_code = os.EX_CONFIG


class MissingSecretError(ConfigurationError):
    """A Secret or ConfigMap that the values name, or the key in it, does not exist or is empty."""


class ForeignSecretError(ConfigurationError):
    """The Secret that the hook has to write exists, but does not have this release's labels."""


class WrongServerError(ConfigurationError):
    """Another server than Argo CD answers at the configured address, or its certificate can't be trusted."""
