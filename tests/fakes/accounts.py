"""Argo CD's local accounts as ConfigMap argocd-cm and Secret argocd-secret hold them.

Source: ``util/settings/accounts.go`` of Argo CD 3.6.1.
"""

import itertools
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

ADMIN = "admin"
CAPABILITIES = ("login", "apiKey")


@dataclass
class IssuedKey:
    """An API key as argocd-secret lists it; times in Unix seconds, ``expires_at`` 0 for never."""

    id: str
    issued_at: int
    expires_at: int = 0
    unseen: int = 0
    """So many further requests meet a replica that does not know this key yet."""
    unseen_until: float = 0.0
    """Until this moment of ``time.monotonic()`` no replica knows it."""

    def is_seen(self, *, asked: bool = False) -> bool:
        """Tell whether the replica that is asked knows this key; with ``asked`` the request counts."""
        if self.unseen:
            self.unseen -= asked
            return False
        return time.monotonic() >= self.unseen_until


@dataclass
class Kept:
    """What argocd-secret holds for an account; it stays when the account's entry in argocd-cm goes."""

    password: str
    password_mtime: float = 0.0
    keys: list[IssuedKey] = field(default_factory=list)

    def key(self, key_id: str) -> IssuedKey | None:
        return next((key for key in self.keys if key.id == key_id), None)


@dataclass(frozen=True)
class Account:
    """An account as Argo CD puts it together; ``capabilities`` in their order and as often as they come."""

    name: str
    enabled: bool
    capabilities: tuple[str, ...]
    kept: Kept

    def shown(self) -> dict[str, object]:
        """Return the account as Argo CD's JSON has it: what is false, zero or empty is left out."""
        shown: dict[str, object] = {"name": self.name}
        if self.enabled:
            shown["enabled"] = True
        if self.capabilities:
            shown["capabilities"] = list(self.capabilities)
        newest_first = sorted(self.kept.keys, key=lambda key: -key.issued_at)
        tokens = [
            {"id": key.id, "issuedAt": key.issued_at} | ({"expiresAt": key.expires_at} if key.expires_at else {})
            for key in newest_first
            if key.is_seen()
        ]
        return {**shown, "tokens": tokens} if tokens else shown


class Accounts:
    """Both objects. ``cm`` may be a view of a ConfigMap in a (fake) cluster."""

    def __init__(self) -> None:
        self.cm: MutableMapping[str, str] = {}
        self.secret: dict[str, Kept] = {}
        self.cm_shows_after = 0.0
        """Seconds until Argo CD goes by a change of argocd-cm."""
        self._shown: tuple[dict[str, str], dict[str, str], float] = ({}, {}, 0.0)
        self._passwords = (f"canary-password-{n}" for n in itertools.count(1))

    def add(self, name: str, capabilities: str = "apiKey, login", password: str = "") -> Kept:
        """Make an account, or change one that exists; return what argocd-secret holds of it."""
        self.cm[f"accounts.{name}"] = capabilities
        kept = self.secret.setdefault(name, Kept(""))
        kept.password = password or kept.password or next(self._passwords)
        return kept

    def vanish(self, name: str) -> None:
        """Take the account's entry out of argocd-cm; argocd-secret keeps its password and keys."""
        for key in [k for k in self.cm if k == f"accounts.{name}" or k.startswith(f"accounts.{name}.")]:
            del self.cm[key]

    def enable(self, name: str, enabled: bool = True) -> None:
        """Switch an account on or off, as ``accounts.NAME.enabled`` does."""
        self.cm[f"accounts.{name}.enabled"] = str(enabled).lower()

    def find(self, name: str) -> Account | None:
        """Return the account, None when argocd-cm has no entry for it. ``admin`` needs none, and can log in."""
        cm = self._effective()
        entry, switch = cm.get(f"accounts.{name}"), cm.get(f"accounts.{name}.enabled")
        if name != ADMIN and entry is None and switch is None:
            return None
        own: tuple[str, ...] = ()
        enabled = True
        if name == ADMIN:
            enabled, own = cm.get("admin.enabled", "true") == "true", ("login",)
        if switch is not None:
            enabled = switch == "true"
        listed = [c.strip() for c in (entry or "").split(",")]
        capabilities = (*own, *(c for c in listed if c in CAPABILITIES))
        return Account(name, enabled, capabilities, self.secret.setdefault(name, Kept("")))

    def saved(self, account: Account) -> None:
        """Write the account's entry as Argo CD does whenever it saves one (for a new key, for one): without blanks."""
        if account.name == ADMIN:
            if account.enabled:
                self.cm.pop("admin.enabled", None)
            return
        self.cm[f"accounts.{account.name}"] = ",".join(account.capabilities)
        if account.enabled:
            self.cm.pop(f"accounts.{account.name}.enabled", None)

    def _effective(self) -> Mapping[str, str]:
        """Return argocd-cm as Argo CD's informer has it by now."""
        before, now, since = self._shown
        present = dict(self.cm)
        if present != now:
            # The first look at all is no change.
            before, now, since = (now if now else present), present, time.monotonic()
            self._shown = (before, now, since)
        return before if time.monotonic() - since < self.cm_shows_after else now
