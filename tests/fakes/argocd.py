"""An Argo CD that speaks HTTP and behaves as 3.6.1 does, as far as accounts, keys and sessions go.

What it does was asked of the real one too (``tests/faults/test_conversation.py``); where it answers is in
``account_api``, what it remembers here.
"""

import itertools
import secrets
import ssl
import time

from tests.fakes.account_api import AccountApi, RefusalError
from tests.fakes.accounts import ADMIN, Accounts, IssuedKey
from tests.fakes.logins import Logins
from tests.fakes.tokens import signed
from tests.fakes.web import Server


class FakeArgoCD:
    """One Argo CD, its accounts, and what was asked of it. ``server.fault`` breaks it."""

    def __init__(self, tls: ssl.SSLContext | None = None, rootpath: str = "") -> None:
        self.accounts = Accounts()
        self._api = AccountApi(self)
        self.server = Server(self._api.handle, tls)
        self.server.clock = self.now
        self.rootpath = rootpath
        self.signature = secrets.token_hex(16)
        """``server.secretkey`` in argocd-secret: what tokens are signed with."""
        self.ahead = 0.0
        """Seconds by which this Argo CD's clock is ahead of the machine's: a test's way to let time pass."""
        self.logins = Logins(self.accounts, self.now)
        self.keys_expire_after = 0
        """Seconds; an Argo CD that gives every key an end, whatever it was asked for."""
        self.lags = 0
        """So many requests meet a replica that does not know a key that was just made."""
        self.lag_seconds = 0.0
        """No replica knows a key before it is this old."""
        self.may_see = {ADMIN}
        """Accounts whose RBAC role lets them see every application."""
        self.made: list[str] = []
        """The tokens of all API keys that were ever made here."""
        self.received: set[str] = set()
        """Every password, key and session token that anybody ever sent here."""
        self.sessions: dict[str, str] = {}
        """Token of every session by its id."""
        self.ended: set[str] = set()
        """Ids of sessions that were ended."""
        self._session_ids = (f"session-{n}" for n in itertools.count(1))

    @property
    def url(self) -> str:
        return self.server.url + self.rootpath

    def now(self) -> float:
        """Return this Argo CD's clock, in Unix seconds."""
        return time.time() + self.ahead

    def close(self) -> None:
        self.server.close()

    def account(self, name: str, capabilities: str = "apiKey, login", password: str = "") -> str:
        """Make or change an account; return its password."""
        return self.accounts.add(name, capabilities, password).password

    def live_keys(self, name: str = "") -> list[str]:
        """Return the ids of the account's keys (all accounts') that are valid, oldest first."""
        return [key.id for owner, kept in self.accounts.secret.items() if name in ("", owner) for key in kept.keys]

    def live_sessions(self) -> list[str]:
        """Return the ids of the sessions that nobody ended."""
        return [i for i in self.sessions if i not in self.ended]

    def accepts(self, token: str) -> bool:
        """Tell whether a key or session works now."""
        try:
            self._api.claims(token)
        except RefusalError:
            return False
        return True

    def make_key(self, name: str, key_id: str, *, age: float = 0.0, expires_in: int = 0) -> str:
        """Make a key ``age`` seconds ago, as ``argocd account generate-token`` does; return its token."""
        issued = int(self.now() - age)
        expires = issued + expires_in if expires_in else 0
        key = IssuedKey(key_id, issued, expires, self.lags, time.monotonic() + self.lag_seconds)
        self.accounts.secret[name].keys.append(key)
        self.made.append(signed(f"{name}:apiKey", key_id, issued, expires, self.signature))
        return self.made[-1]

    def revoke(self, name: str, key_id: str = "") -> None:
        """Revoke a key, or all of the account, as somebody else's doing."""
        kept = self.accounts.secret[name]
        kept.keys = [key for key in kept.keys if key_id not in ("", key.id)]

    def open_session(self, name: str) -> str:
        """Open a session for a day; return its token."""
        session, now = next(self._session_ids), int(self.now())
        self.sessions[session] = signed(f"{name}:login", session, now, now + 86400, self.signature)
        return self.sessions[session]
