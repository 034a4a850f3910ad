"""Tokens as Argo CD signs and reads them (``util/session/sessionmanager.go``)."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt


class UntrustedError(Exception):
    """Why a token is none of this Argo CD's."""


@dataclass(frozen=True)
class Claims:
    """What a good token says; times in Unix seconds, ``expires_at`` 0 for never."""

    account: str
    capability: str
    key_id: str
    issued_at: int
    expires_at: int


def signed(
    subject: str, key_id: str, issued: int, expires: int = 0, signature: str = "somebody else's server.secretkey"
) -> str:
    """Return a token; ``signature`` is the secret that it is signed with."""
    claims: dict[str, Any] = {"iss": "argocd", "sub": subject, "jti": key_id, "iat": issued, "nbf": issued}
    return jwt.encode(claims | ({"exp": expires} if expires else {}), signature)


def read(token: str, now: float, signature: str) -> Claims:
    """Return the claims of a token signed with ``signature`` that has not expired. Raises UntrustedError."""
    claims = _verified(token, signature)
    if 0 < claims.get("exp", 0) < now:
        raise UntrustedError("token has invalid claims: token is expired")
    name, _, capability = claims["sub"].partition(":")
    return Claims(name, capability or "apiKey", claims["jti"], claims["iat"], claims.get("exp", 0))


@cache
def _verified(token: str, signature: str) -> dict[str, Any]:
    """Return the claims of a token signed with ``signature``; kept, because a test asks many times with one token."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False, "verify_exp": False}).get("iss")
    except (jwt.PyJWTError, ValueError):
        raise UntrustedError(
            "token is malformed: could not base64 decode header: illegal base64 data at input byte 0"
        ) from None
    if issuer != "argocd":
        raise UntrustedError("SSO is not configured")
    try:
        return jwt.decode(
            token,
            signature,
            algorithms=["HS256"],
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.PyJWTError:
        raise UntrustedError("token signature is invalid: signature is invalid") from None
