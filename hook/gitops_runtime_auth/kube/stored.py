"""Encodes and decodes the content of the key Secret: API keys, and what is needed to use or revoke them."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.kube.owned import mapping

STATE = "state"
"""Data key with what the product needs to know besides the API key itself (JSON). No consumer reads it."""
MOST_PREVIOUS = 20
"""Replaced keys that are stored. The oldest are left out first; their ids are still in Argo CD's list."""
_LONGEST = {"token": tokens.MAX_LENGTH, "account": 253, "url": 2048, "ca": 1 << 20}
"""Characters of each field at most. This product has not written a longer one, so it is ignored."""
_LATEST = 1e11
"""Unix seconds (in the year 5138). A later time is ignored."""


@dataclass(frozen=True)
class StoredKey:
    """An API key with the server and account that it was made for, because an upgrade may change both."""

    token: str = field(repr=False)
    account: str
    url: str
    ca: str = field(default="", repr=False)
    """PEM; empty for the public CAs."""
    insecure: bool = False
    key_id: str = ""
    """Empty if the token is not an API key of ``account``: then it can be neither used nor revoked."""
    expires_at: int = 0
    """Unix seconds, 0 for never."""

    @classmethod
    def from_token(cls, token: str, account: str, url: str, ca: str = "", insecure: bool = False) -> "StoredKey":
        """Return the key with the claims of its token, which are not verified because only Argo CD can do that."""
        claims = tokens.read(token)
        if claims is None or claims.kind is not tokens.Kind.API_KEY or claims.account != account:
            return cls(token, account, url, ca, insecure)
        return cls(token, account, url, ca, insecure, claims.key_id, claims.expires_at)


@dataclass(frozen=True)
class StoredKeys:
    """The content of the key Secret."""

    current: StoredKey | None = None
    previous: tuple[StoredKey, ...] = ()
    """Replaced keys that Pods may still use, the latest first."""
    since: float = 0.0
    """Unix time since which ``current`` is in use, 0 if it is unknown."""
    resource_version: str = ""
    """Version of the Secret that this was read from; empty if the Secret does not exist, or if this was read from a
    mounted volume or from a Secret of a former name."""
    outdated: bool = False
    """Name or content of the Secret differ from the values, so that it must be written even if the key works."""
    foreign_key: str = ""
    """Id of the API key in a Secret that is adopted. The release does not revoke this key, so the user has to."""

    @property
    def all(self) -> tuple[StoredKey, ...]:
        """All keys in the Secret: the replaced ones, then the one in use, which can revoke them."""
        return (*self.previous, self.current) if self.current else self.previous

    def moved_to(self, new: StoredKey, now: float) -> "StoredKeys":
        """Return the content with ``new`` in use since ``now`` (Unix time); the key before it is a replaced one."""
        if self.current is not None and self.current.token == new.token:
            return replace(self, current=new, previous=_without(new, self.previous))
        before = (self.current, *self.previous) if self.current else self.previous
        return replace(self, current=new, previous=_without(new, before)[:MOST_PREVIOUS], since=now)


def _without(key: StoredKey, keys: tuple[StoredKey, ...]) -> tuple[StoredKey, ...]:
    return tuple(other for other in keys if other.token != key.token)


def encode(keys: StoredKeys, shape: Mapping[str, str]) -> dict[str, str]:
    """Return the Secret's data: the keys in ``shape`` (data key -> token, url, server or account), and the state."""
    current = keys.current
    if current is None:
        raise ValueError("A Secret without a key is deleted, not written.")
    values = {"token": current.token, "url": current.url, "server": server(current.url), "account": current.account}
    state = {
        **_written(current),
        "ca": current.ca,
        "token_in": token_key(shape),
        "since": keys.since,
        # A CA bundle may be long, and a Secret has 1 MiB at most, so a CA that is the current one's is written once.
        "previous": [
            {"token": key.token, **_written(key), **({} if key.ca == current.ca else {"ca": key.ca})}
            for key in keys.previous[:MOST_PREVIOUS]
        ],
    }
    return {**{name: values[what] for name, what in shape.items()}, STATE: json.dumps(state)}


def decode(data: Mapping[str, str], shape: Mapping[str, str]) -> StoredKeys:
    """Read what ``encode`` wrote, for this or an earlier shape. What can't be read is left out, and then made again."""
    state = _json(data.get(STATE, ""))
    names = (token_key(shape), state.get("token_in"))
    token = next((found for name in names if isinstance(name, str) and (found := data.get(name, "").strip())), "")
    ca = _text(state, "ca")
    listed = state.get("previous")
    entries = [mapping(entry) for entry in listed[:MOST_PREVIOUS]] if isinstance(listed, list) else []
    previous = (_key(_text(entry, "token"), {"ca": ca, **entry}) for entry in entries)
    known = tuple(key for key in previous if key is not None and key.account and key.url)
    since = state.get("since")
    return StoredKeys(
        current=_key(token, state),
        previous=known,
        since=float(since) if isinstance(since, int | float) and 0 < since < _LATEST else 0.0,
    )


def token_key(shape: Mapping[str, str]) -> str:
    """Return the first data key that contains the token."""
    return next((name for name, what in shape.items() if what == "token"), "token")


def server(url: str) -> str:
    """Return host, port and path of a URL, which Argo CD's own command line calls the server."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port else ":443" if parts.scheme == "https" else ":80"
    except ValueError:  # somebody has edited the Secret
        return ""
    host = parts.netloc.rpartition("@")[2]
    return f"{host}{port}{parts.path.rstrip('/')}"


def from_base64(value: object) -> str:
    """Return the text of a value in a Secret's ``data``, empty if it is malformed."""
    try:
        return base64.b64decode(value).decode("utf-8", "replace") if isinstance(value, str) else ""
    except (binascii.Error, ValueError):
        return ""


def _written(key: StoredKey) -> dict[str, object]:
    return {"account": key.account, "url": key.url, "insecure": key.insecure}


def _key(token: str, fields: Mapping[str, Any]) -> StoredKey | None:
    account, url, ca = (_text(fields, name) for name in ("account", "url", "ca"))
    if not token or len(token) > _LONGEST["token"]:
        return None
    return StoredKey.from_token(token, account, url, ca, fields.get("insecure") is True)


def _text(fields: Mapping[str, Any], name: str) -> str:
    """Return a text of the state, empty if it is not a text, is too long, or could control a terminal."""
    value = fields.get(name)
    if not isinstance(value, str) or len(value) > _LONGEST[name]:
        return ""
    return value if name == "ca" or value.isprintable() else ""


def _json(text: str) -> dict[str, Any]:
    try:
        return mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}
