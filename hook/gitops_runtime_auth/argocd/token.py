"""Reads the claims of an Argo CD token, without verifying it: only Argo CD can do that."""

from dataclasses import dataclass
from enum import Enum

import jwt

MAX_LENGTH = 16384
"""Characters. Argo CD's keys have about 250, so that a much longer text is not one."""

_ISSUER = "argocd"


class Kind(Enum):
    """The kind of a token, by its issuer and subject. The value is its description."""

    API_KEY = "an API key of an account"
    SESSION = "a login session of an account"
    PROJECT_ROLE = "a token of a project's role, which has no account"
    OTHER = "not a token that Argo CD issues"


@dataclass(frozen=True)
class Claims:
    """The claims of a token that the product needs."""

    issuer: str
    kind: Kind
    account: str
    """Empty for a token of a project's role, and for one that Argo CD did not issue."""
    key_id: str
    expires_at: int
    """Unix seconds, 0 for never."""
    not_before: int
    """Unix seconds, 0 when unset."""


def read(token: str) -> Claims | None:
    """Return the claims of ``token``, or None if it is not a JWT.

    The subject of an account's token is ``<account>:<capability>``, that of a project's role ``proj:<project>:<role>``
    (``GetSubjectAccountAndCapability`` in ``util/session/sessionmanager.go``, ``GetProjectRoleFromSubject`` in
    ``server/rbacpolicy/rbacpolicy.go``). An account's name has no colon, because it is part of a key of a ConfigMap.
    """
    if len(token) > MAX_LENGTH or not token.isascii():
        return None
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return None
    issuer = _text(claims, "iss")
    kind, account = _subject(_text(claims, "sub")) if issuer == _ISSUER else (Kind.OTHER, "")
    return Claims(
        issuer=issuer,
        kind=kind,
        account=account,
        key_id=_text(claims, "jti"),
        expires_at=_seconds(claims, "exp"),
        not_before=_seconds(claims, "nbf"),
    )


def _subject(subject: str) -> tuple[Kind, str]:
    match subject.split(":"):
        case ["proj", _, _]:
            return Kind.PROJECT_ROLE, ""
        case [account, "apiKey"] if account:
            return Kind.API_KEY, account
        case [account, "login"] if account:
            return Kind.SESSION, account
    return Kind.OTHER, ""


def _text(claims: dict[str, object], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _seconds(claims: dict[str, object], name: str) -> int:
    value = claims.get(name)
    # A malformed claim counts as set, because a non-expiring key of Argo CD has none.
    if value is None:
        return 0
    return int(value) if isinstance(value, int | float) and 0 < value < 1e12 else 1
