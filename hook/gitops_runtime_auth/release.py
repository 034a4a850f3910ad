"""Makes and reads the ids of API keys, by which a release recognizes its keys in Argo CD's list."""

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
    """A Helm release, with its name and namespace."""

    name: str
    namespace: str

    def named_by(self, key_id: str) -> bool:
        """Tell whether ``key_id`` belongs to a release of this name and namespace, in any cluster."""
        found = _PATTERN.match(key_id)
        return found is not None and (found["namespace"], found["name"]) == (self.namespace, self.name)


@dataclass(frozen=True)
class Installation:
    """One release in one cluster. It revokes only keys whose id contains its name, namespace and identity."""

    release: Release
    identity: str
    """12 hex digits from the UID of the release's namespace, which differs between clusters that were cloned from one
    image and share their CA, and does not change when a CA is rotated."""

    def new_key_id(self) -> str:
        """Return a key id that is used only once.

        Argo CD accepts a revoked key again if its id is used again, because a key is valid while its id is listed
        (``util/session/sessionmanager.go``). So the last part of the id is a time and 48 random bits. It has only
        letters, digits, ``.`` and ``-``, because an id with a slash can't be deleted through REST.
        """
        now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dt%H%M%Sz")
        return f"{_BRAND}.{self.identity}.{self.release.namespace}.{self.release.name}.{now}-{secrets.token_hex(6)}"

    def owns(self, key_id: str) -> bool:
        """Tell whether ``key_id`` belongs to this installation."""
        found = _PATTERN.match(key_id)
        return found is not None and found["identity"] == self.identity and self.release.named_by(key_id)


def identity_of(namespace_uid: str) -> str:
    """Return the identity of installations in the namespace with this UID: 48 bits of its SHA-256, in hex."""
    return hashlib.sha256(namespace_uid.encode()).hexdigest()[:12]


def identity_in(key_id: str) -> str:
    """Return the identity in a key's id, empty if it is not a key of this product."""
    found = _PATTERN.match(key_id)
    return found["identity"] if found else ""
