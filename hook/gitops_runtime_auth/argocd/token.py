"""What an Argo CD token says of itself, read without verifying it: only Argo CD can do that."""

from dataclasses import dataclass

import jwt

MAX_LENGTH = 16384
"""Characters. Argo CD's keys have about 250; whatever is much longer is not one."""


@dataclass(frozen=True)
class Claims:
    """The claims that matter. ``capability`` is ``apiKey`` for a key, ``login`` for a session token."""

    issuer: str
    account: str
    capability: str
    key_id: str
    expires_at: int
    """Unix seconds, 0 for never."""
    not_before: int
    """Unix seconds, 0 when unset."""


def read(token: str) -> Claims | None:
    """Return the claims of ``token``, or None when it is not a JWT.

    The subject of Argo CD's own tokens is ``<account>:<capability>`` (``util/session/sessionmanager.go``,
    ``GetSubjectAccountAndCapability``); an account's name may hold colons itself.
    """
    if len(token) > MAX_LENGTH or not token.isascii():
        return None
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    account, _, capability = _text(claims, "sub").rpartition(":")
    return Claims(
        issuer=_text(claims, "iss"),
        account=account,
        capability=capability,
        key_id=_text(claims, "jti"),
        expires_at=_seconds(claims, "exp"),
        not_before=_seconds(claims, "nbf"),
    )


def _text(claims: dict[str, object], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _seconds(claims: dict[str, object], name: str) -> int:
    value = claims.get(name)
    # A claim that is there but makes no sense counts as set: such a token is not one of a non-expiring key.
    if value is None:
        return 0
    return int(value) if isinstance(value, int | float) and 0 < value < 1e12 else 1
