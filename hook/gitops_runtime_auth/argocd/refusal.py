"""Finds the reason for a refusal in Argo CD's message.

The messages are those in the sources of 2.14 to 3.6: ``util/session/sessionmanager.go`` (logins, tokens),
``server/server.go`` (``invalid session: ...``), ``server/account/account.go`` and ``util/settings/accounts.go``
(accounts, keys), and golang-jwt's ``errors.go`` in its major versions 4 and 5 (tokens that it can't read or verify).
The message itself is never shown, because it can contain what was sent.
"""

import re

from gitops_runtime_auth.errors import Refusal

UNAUTHENTICATED, PERMISSION_DENIED = 16, 7
"""The gRPC codes with which Argo CD refuses a credential (HTTP 401) and a right (HTTP 403)."""

_LONGEST = 1000

# The first match counts, so that special patterns come before general ones.
_PATTERNS: tuple[tuple[str, Refusal], ...] = (
    (r"does not have token with id", Refusal.KEY_REVOKED),
    (r"token with id '.*' does not exist", Refusal.KEY_REVOKED),
    (r"already has token with id", Refusal.KEY_ID_IN_USE),
    (r"token is revoked", Refusal.TOKEN_REVOKED),
    (r"jwt token for role .* does not exist", Refusal.TOKEN_REVOKED),
    (r"account .* is disabled", Refusal.ACCOUNT_DISABLED),
    (r"account .* does not have '?apikey'? capability", Refusal.NO_API_KEY_CAPABILITY),
    (r"account .* does not have '?login'? capability", Refusal.NO_LOGIN_CAPABILITY),
    (r"account '.*' does not exist", Refusal.ACCOUNT_MISSING),
    (r"password has changed since", Refusal.PASSWORD_CHANGED),
    (r"token is expired|token has expired", Refusal.EXPIRED),
    (r"signature is invalid|failed to verify", Refusal.FOREIGN_SIGNATURE),
    (
        r"no session information|malformed|unverifiable|number of segments|signing method"
        r"|does not have a unique identifier|sso is not configured",
        Refusal.UNREADABLE_TOKEN,
    ),
    (r"^invalid username or password", Refusal.AMBIGUOUS_LOGIN),
    (r"no credentials supplied|blank passwords are not allowed", Refusal.BLANK_PASSWORD),
    (r"^permission denied", Refusal.PERMISSION_DENIED),
)

# Argo CD could not judge the token, because it can't read its own settings, or because its clock is behind that of the
# replica that issued the token.
_TEMPORARY = (
    r"settings are not available|cannot access settings|(configmap|secret)s? \"argocd-"
    r"|context (deadline exceeded|canceled)|is not valid yet|used before issued"
)


def refusal_of(data: object) -> Refusal:
    """Return why Argo CD refused, from the JSON of its answer; ``Refusal.UNKNOWN`` for a message that is not listed."""
    message = _message(data)
    return next((refusal for pattern, refusal in _PATTERNS if re.search(pattern, message)), Refusal.UNKNOWN)


def grpc_code(data: object) -> int:
    """Return the gRPC code of an answer, -1 if it has none and thus does not come from Argo CD's API."""
    code = data.get("code") if isinstance(data, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else -1


def is_temporary(data: object) -> bool:
    """Tell whether Argo CD refused a token without judging it, so that waiting may help."""
    return re.search(_TEMPORARY, _message(data)) is not None


def is_about_a_token(data: object) -> bool:
    """Tell whether the message begins as Argo CD's verdicts on tokens do, even if its reason is not listed here."""
    return _message(data).startswith("invalid session")


def _message(data: object) -> str:
    message = data.get("message") or data.get("error") if isinstance(data, dict) else None
    return message[:_LONGEST].lower() if isinstance(message, str) else ""
