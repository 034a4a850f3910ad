"""Why Argo CD refuses, in words that may be shown: its own text can hold what was sent to it."""

import re
from typing import Any

NO_VERDICT_TOLD_APART = "wrong password, unknown account, or locked account"
"""What Argo CD also says when it did not look at the password at all (``util/session/sessionmanager.go``)."""

# Argo CD's own words (server/account, util/session of v3.6) -> a reason that may be shown.
REASONS: dict[str, str] = {
    r"does not have token with id": "the key has been revoked",
    r"token is revoked": "the token has been revoked",
    r"account .* is disabled": "the account is disabled",
    r"does not have '?apiKey'? capability": "the account has no apiKey capability",
    r"does not have '?login'? capability": "the account has no login capability",
    r"password has changed": "the account's password has changed since the token was issued",
    r"expired": "the token has expired",
    r"signature is invalid|[Ff]ailed to verify|verify the token": "the token is not signed by this Argo CD",
    r"does not exist": "the account does not exist",
    r"no session information|malformed|unverifiable|SSO is not configured": (
        "the token is not one that Argo CD can read"
    ),
    r"Invalid username or password": NO_VERDICT_TOLD_APART,
    r"no credentials supplied": "the password is blank",
    r"already has token with id": "the key id is in use",
    r"permission denied": "permission denied",
}
UNKNOWN_REASON = "no reason that this version knows"


def reason_of(data: Any) -> str:
    """Return why Argo CD refused, in words from ``REASONS``: its own text never leaves this function."""
    message = data.get("message") or data.get("error") if isinstance(data, dict) else None
    if isinstance(message, str):
        for pattern, reason in REASONS.items():
            if re.search(pattern, message[:1000], re.IGNORECASE):
                return reason
    return UNKNOWN_REASON
