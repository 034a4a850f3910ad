"""Every way the product can fail, one class per cause that a user can mend.

::

    AuthError                    problem, remedy, exit code
    ├── UsageError               64  the command line is wrong
    ├── UnreachableError         69  Argo CD or the Kubernetes API can't be reached        (heals: retried)
    ├── TemporaryError           75  it answers, but not as it should just now             (heals: retried)
    ├── AnswerError              75  an answer that makes no sense here, and that waiting does not mend
    │   └── LoginUnansweredError     logins were sent and no verdict came back
    ├── RefusedError             77  Argo CD or Kubernetes says no
    │   ├── LoginRefusedError        the password, or a locked account
    │   ├── KeyRefusedError          Argo CD does not accept the API key or session token
    │   ├── PrivilegeError           the account lacks a capability or is disabled
    │   └── RbacError                Kubernetes refuses what the chart's Role should allow
    └── ConfigurationError       78  what was given can't work: values, Secrets, token, TLS, URL
        ├── MissingSecretError       a Secret, or a key in it, is not there
        ├── ForeignSecretError       the Secret to write belongs to somebody else
        └── WrongServerError         what answers is not Argo CD's API (redirect, login page, certificate)

Exit codes are those of sysexits.h. A message never holds a credential or a response body.
"""

import os
from typing import ClassVar


class AuthError(Exception):
    """A failure in two sentences: ``problem`` says what is wrong, ``remedy`` what to do about it."""

    exit_code: ClassVar[int] = os.EX_TEMPFAIL

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class UsageError(AuthError):
    """The command line or the environment of the process is not as it must be."""

    exit_code = os.EX_USAGE


class UnreachableError(AuthError):
    """No answer: connection refused, name not found, timeout. Heals, so it is retried until the deadline."""

    exit_code = os.EX_UNAVAILABLE

    def __init__(self, problem: str, remedy: str, *, sent: bool = False) -> None:
        super().__init__(problem, remedy)
        self.sent = sent
        """The request may have reached the server, and may have taken effect."""


class TemporaryError(AuthError):
    """An answer that says "not now" (408, 429, 5xx). Heals, so it is retried until the deadline."""

    exit_code = os.EX_TEMPFAIL

    def __init__(self, problem: str, remedy: str, *, retry_after: float = 0.0, sent: bool = True) -> None:
        super().__init__(problem, remedy)
        self.retry_after = retry_after
        """Seconds that the server asks to wait (``Retry-After``), 0 when it does not say."""
        self.sent = sent
        """The request may have taken effect."""


class AnswerError(AuthError):
    """A server answered something this program can't use: HTTP ``status``, and the gRPC ``code`` if it gave one."""

    def __init__(self, problem: str, remedy: str, *, status: int, code: int, reason: str = "") -> None:
        super().__init__(problem, remedy)
        self.status = status
        self.code = code
        self.reason = reason


class LoginUnansweredError(AnswerError):
    """Argo CD may have refused logins without anybody hearing of it: more of them could lock the account."""


class RefusedError(AuthError):
    """Argo CD or Kubernetes understood the request and said no; sending it again would not help."""

    exit_code = os.EX_NOPERM


class LoginRefusedError(RefusedError):
    """Argo CD refused the user name and password. Never sent again: five refusals lock an account."""


class KeyRefusedError(RefusedError):
    """Argo CD does not accept a token; ``reason`` is one of the words of ``reasons``."""

    def __init__(self, problem: str, remedy: str, *, reason: str) -> None:
        super().__init__(problem, remedy)
        self.reason = reason


class PrivilegeError(RefusedError):
    """The account is disabled or lacks ``login`` or ``apiKey``."""


class RbacError(RefusedError):
    """The Kubernetes API refused a request that the chart's Role should allow."""


class ConfigurationError(AuthError):
    """What the user gave can't work, whatever the servers do."""

    exit_code = os.EX_CONFIG


class MissingSecretError(ConfigurationError):
    """A referenced Secret, or the key in it, does not exist or is empty."""


class ForeignSecretError(ConfigurationError):
    """The Secret that the hook would write exists and does not carry this release's labels."""


class WrongServerError(ConfigurationError):
    """What answers at the configured address is not Argo CD's API, or its certificate can't be trusted."""


HEALS = (UnreachableError, TemporaryError)
"""The errors that waiting can mend: these, and only these, are retried."""
