"""Which release an API key in Argo CD's list belongs to: the ids of the keys that this product makes."""

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime

_BRAND = "gra"
_PATTERN = re.compile(
    rf"^{_BRAND}\.(?P<identity>[0-9a-f]{{12}})\.(?P<namespace>[a-z0-9-]{{1,63}})\.(?P<name>[a-z0-9.-]{{1,53}})\."
    r"(?P<once>[0-9]{8}t[0-9]{6}z-[0-9a-f]{12})$"
)


@dataclass(frozen=True)
class Release:
    """A Helm release, by its name and namespace, as the chart hands them over."""

    name: str
    namespace: str

    def named_by(self, key_id: str) -> bool:
        """Tell whether ``key_id`` names a key of a release of this name and namespace, in whatever cluster."""
        found = _PATTERN.match(key_id)
        return found is not None and (found["namespace"], found["name"]) == (self.namespace, self.name)


@dataclass(frozen=True)
class Installation:
    """One release of one cluster. Only keys whose id names all of it are ever revoked."""

    release: Release
    identity: str
    """12 hex digits from the UID of the release's namespace: it tells apart clusters that were cloned from one image
    and share their CA, and it outlives a CA that is rotated."""

    def new_key_id(self) -> str:
        """Return a key id that was never used before and never will be.

        Argo CD brings a revoked key back to life when its id is used again (a key is valid while its id is listed:
        ``util/session/sessionmanager.go``), so the last part is a time and 48 random bits. Letters, digits, ``.`` and
        ``-`` only: an id with a slash can't be deleted through REST.
        """
        now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dt%H%M%Sz")
        return f"{_BRAND}.{self.identity}.{self.release.namespace}.{self.release.name}.{now}-{secrets.token_hex(6)}"

    def owns(self, key_id: str) -> bool:
        """Tell whether ``key_id`` names a key of this installation."""
        found = _PATTERN.match(key_id)
        return found is not None and found["identity"] == self.identity and self.release.named_by(key_id)


def identity_of(namespace_uid: str) -> str:
    """Return the identity of the installations in the namespace with this UID: 48 bits of its SHA-256, as hex."""
    return hashlib.sha256(namespace_uid.encode()).hexdigest()[:12]


def identity_in(key_id: str) -> str:
    """Return the identity that a key's id names, empty when it is not a key of this product."""
    found = _PATTERN.match(key_id)
    return found["identity"] if found else ""
