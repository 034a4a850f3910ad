"""Reads the API key in a release's Secret, as any other program can."""

import json
from dataclasses import dataclass, field
from typing import Any

import jwt

from dev.cluster import Cluster, decoded

KEY_SECRET = "argocd-token"
"""The name that the chart gives the Secret unless ``keySecret.name`` says otherwise."""


@dataclass(frozen=True)
class StoredKey:
    """An API key, and what the Secret says about it."""

    token: str = field(repr=False)
    account: str
    id: str
    url: str = ""
    """The Argo CD that made it, as the hook noted it down."""
    previous: int = 0
    """How many replaced keys the Secret still remembers."""


def understood(token: str, state: dict[str, Any] | None = None) -> StoredKey:
    """Read a token's claims, unchecked: Argo CD's subject is ``ACCOUNT:apiKey``, its ``jti`` the key's id.

    ``state`` is what the hook wrote beside it; a token that is no JWT has no account and no id.
    """
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        claims = {}
    account = str(claims.get("sub", "")).partition(":")[0]
    state = state or {}
    return StoredKey(token, account, str(claims.get("jti", "")), state.get("url", ""), len(state.get("previous", ())))


def stored(cluster: Cluster, namespace: str, name: str = KEY_SECRET) -> StoredKey | None:
    """Return the key in Secret ``name``, None if there is no such Secret or no key in it."""
    data = decoded(cluster, namespace, name)
    token = data.get("token", "").strip()
    if not token:
        return None
    try:
        state = json.loads(data.get("state") or "{}")
    except ValueError:
        state = {}
    return understood(token, state)
