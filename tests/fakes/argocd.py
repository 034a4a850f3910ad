"""An Argo CD that speaks HTTP and behaves as 3.6.1 does, as far as accounts, keys and sessions go.

Sources: ``server/account/account.go``, ``server/session``, ``server/logout``, ``util/session/sessionmanager.go`` of
Argo CD 3.6.1. What stands here was asked of the real one too (``tests/faults/test_conversation.py``).
"""

import gzip
import itertools
import ssl
import threading
import time
from typing import Any
from urllib.parse import unquote

from tests.fakes.accounts import ADMIN, Account, Accounts, IssuedKey
from tests.fakes.logins import LONGEST_NAME, Logins, Verdict
from tests.fakes.tokens import Claims, UntrustedError, read, signed
from tests.fakes.web import Answer, Request, Server, as_json, as_text

_UI = Answer(200, b"<!doctype html><title>Argo CD</title>", {"Content-Type": "text/html; charset=utf-8"})


class RefusedError(Exception):
    """An answer other than 200: HTTP status, gRPC code, Argo CD's words."""

    def __init__(self, status: int, code: int, words: str) -> None:
        super().__init__(words)
        self.answer = as_json(status, {"error": words, "code": code, "message": words})


def unauthenticated(words: str) -> RefusedError:
    """Return the refusal with which Argo CD answers 401."""
    return RefusedError(401, 16, words)


class FakeArgoCD:
    """One Argo CD, its accounts, and what was asked of it. ``server.fault`` breaks it."""

    def __init__(self, tls: ssl.SSLContext | None = None, rootpath: str = "") -> None:
        self.accounts = Accounts()
        self.server = Server(self._handle, tls)
        self.server.clock = self.now
        self.rootpath = rootpath
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
        self._ended: set[str] = set()
        self._lock = threading.RLock()
        self._session_ids = (f"session-{n}" for n in itertools.count(1))

    # What a test does and asks

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

    def keys(self, name: str = "") -> list[str]:
        """Return the ids of the account's keys (all accounts') that are alive, oldest first."""
        return [key.id for owner, kept in self.accounts.secret.items() if name in ("", owner) for key in kept.keys]

    def live_sessions(self) -> list[str]:
        """Return the ids of the sessions that nobody ended."""
        return [i for i in self.sessions if i not in self._ended]

    def accepts(self, token: str) -> bool:
        """Tell whether a key or session works now."""
        try:
            self._caller(token)
        except RefusedError:
            return False
        return True

    def make_key(self, name: str, key_id: str, *, age: float = 0.0, expires_in: int = 0) -> str:
        """Make a key ``age`` seconds ago, as ``argocd account generate-token`` does; return its token."""
        issued = int(self.now() - age)
        expires = issued + expires_in if expires_in else 0
        key = IssuedKey(key_id, issued, expires, self.lags, time.monotonic() + self.lag_seconds)
        self.accounts.secret[name].keys.append(key)
        self.made.append(signed(f"{name}:apiKey", key_id, issued, expires))
        return self.made[-1]

    def revoke(self, name: str, key_id: str = "") -> None:
        """Revoke a key, or all of the account, as somebody else's doing."""
        kept = self.accounts.secret[name]
        kept.keys = [key for key in kept.keys if key_id not in ("", key.id)]

    # The API

    def _handle(self, request: Request) -> Answer:
        if not request.path.startswith(f"{self.rootpath}/"):
            return as_text(404, "404 page not found\n")
        path = request.path.removeprefix(self.rootpath)
        if path == "/auth/logout":
            return self._logout(request)
        if not path.startswith("/api/"):
            return _UI
        if request.method != "GET" and (request.headers.get("Content-Type") or "").lower() != "application/json":
            return as_text(415, "Invalid content type\n")
        try:
            # Segments are told apart before they are decoded, so that an id with %2F in it names no route.
            answer = self._api(request, [unquote(part) for part in path.split("/")[2:]], "%2F" in path)
        except RefusedError as e:
            answer = e.answer
        if "gzip" in (request.headers.get("Accept-Encoding") or ""):
            return Answer(answer.status, gzip.compress(answer.body, 1), {**answer.headers, "Content-Encoding": "gzip"})
        return answer

    def _api(self, request: Request, path: list[str], slash: bool) -> Answer:
        body = request.object()
        match request.method, path:
            case "GET", ["version"]:
                return as_json(200, {"Version": "v3.6.1"})
            case "POST", ["v1", "session"]:
                return self._login(str(body.get("username", "")), str(body.get("password", "")))
            case "DELETE", ["v1", "session"]:
                return as_json(200, {})
            case "GET", ["v1", "session", "userinfo"]:
                return self._user_info(request)
            case _, ["v1", "account", *rest] if not slash:
                caller = self._caller(self._bearer(request))
                if request.method == "PUT" and rest == ["password"]:
                    return self._set_password(caller, body)
                with self._lock:
                    return self._account(request.method, rest, body, caller)
        return as_text(404, "Not Found\n")

    def _account(self, method: str, path: list[str], body: dict[str, Any], caller: str) -> Answer:
        match method, path:
            case "GET", ["can-i", "applications", "get", *_]:
                return as_json(200, {"value": "yes" if caller in self.may_see else "no"})
            case "GET", []:
                found = [
                    self.accounts.find(n)
                    for n in sorted({ADMIN, *self.accounts.secret})
                    if n == caller or caller == ADMIN
                ]
                return as_json(200, {"items": [account.shown() for account in found if account]})
            case "GET", [name]:
                return as_json(200, self._permitted(caller, name, f"failed to get account {name}").shown())
            case "POST", [name, "token"]:
                return self._create_key(self._permitted(caller, name, "failed to update account with new token"), body)
            case "DELETE", [name, "token", key_id]:
                return self._delete_key(self._permitted(caller, name, f"failed to delete account {name}"), key_id)
        return as_text(404, "Not Found\n")

    def _permitted(self, caller: str, name: str, doing: str) -> Account:
        """Return the account; everybody may read and change his own, and ``admin`` all."""
        if caller not in (name, ADMIN):
            raise RefusedError(403, 7, f"permission denied: accounts, get, {name}, sub: {caller}")
        found = self.accounts.find(name)
        if found is None:
            raise RefusedError(404, 5, f"{doing}: rpc error: code = NotFound desc = account '{name}' does not exist")
        return found

    def _create_key(self, account: Account, body: dict[str, Any]) -> Answer:
        key_id, failed = str(body.get("id", "")), "failed to update account with new token: "
        if account.kept.key(key_id):
            raise RefusedError(500, 2, f"{failed}account already has token with id '{key_id}'")
        if "apiKey" not in account.capabilities:
            raise RefusedError(500, 2, f"{failed}account '{account.name}' does not have apiKey capability")
        asked = int(body.get("expiresIn") or 0)
        token = self.make_key(account.name, key_id, expires_in=asked or self.keys_expire_after)
        self.accounts.saved(account)
        return as_json(200, {"token": token})

    def _delete_key(self, account: Account, key_id: str) -> Answer:
        if account.kept.key(key_id) is None:
            said = f"rpc error: code = NotFound desc = token with id '{key_id}' does not exist"
            raise RefusedError(404, 5, f"failed to delete account {account.name}: {said}")
        self.revoke(account.name, key_id)
        self.accounts.saved(account)
        return as_json(200, {})

    def _set_password(self, caller: str, body: dict[str, Any]) -> Answer:
        if self.logins.look(caller, str(body.get("currentPassword", ""))) is not Verdict.OK:
            raise RefusedError(400, 3, "current password does not match")
        kept = self._permitted(caller, str(body.get("name") or caller), "failed to update account password").kept
        kept.password, kept.password_mtime = str(body.get("newPassword", "")), int(self.now())
        return as_json(200, {})

    # Sessions and tokens

    def _login(self, username: str, password: str) -> Answer:
        self.received.add(password)
        match self.logins.come(username, password):
            case Verdict.OK:
                session, now = next(self._session_ids), int(self.now())
                self.sessions[session] = signed(f"{username}:login", session, now, now + 86400)
                return as_json(200, {"token": self.sessions[session]})
            case Verdict.BLANK:
                raise unauthenticated("no credentials supplied")
            case Verdict.TOO_LONG:
                raise RefusedError(400, 3, f"Username is too long ({LONGEST_NAME} bytes max)")
            case Verdict.DISABLED:
                raise unauthenticated(f"Account {username} is disabled")
            case Verdict.NO_LOGIN:
                raise unauthenticated(f"Account {username} does not have login capability")
            case _:
                raise unauthenticated("Invalid username or password")

    def _bearer(self, request: Request) -> str:
        header = request.headers.get("Authorization") or ""
        token = header.removeprefix("Bearer ") if header.startswith("Bearer ") else _cookie(request)
        if token:
            self.received.add(token)
        if token.count(".") < 2:
            raise unauthenticated("no session information")
        return token

    def _caller(self, token: str) -> str:
        """Return the account that a key or session belongs to (``Parse`` in ``util/session/sessionmanager.go``)."""
        try:
            claims = read(token, self.now())
        except UntrustedError as e:
            raise unauthenticated(f"invalid session: {e}") from None
        why = self._objection(claims)
        if why:
            raise unauthenticated(f"invalid session: {why}")
        return claims.account

    def _objection(self, claims: Claims) -> str:
        name, account = claims.account, self.accounts.find(claims.account)
        if account is None:
            return f"rpc error: code = NotFound desc = account '{name}' does not exist"
        if not account.enabled:
            return f"account {name} is disabled"
        if claims.capability not in account.capabilities:
            return f"account {name} does not have '{claims.capability}' capability"
        if claims.key_id in self._ended:
            return "token is revoked, please re-login"
        key = account.kept.key(claims.key_id)
        if claims.capability == "apiKey" and not (key and key.is_seen(asked=True)):
            return f"account {name} does not have token with id {claims.key_id}"
        if claims.issued_at < account.kept.password_mtime:
            return "account password has changed since token issued"
        return ""

    def _user_info(self, request: Request) -> Answer:
        """Answer 200 in any case; who is not logged in gets an empty object."""
        try:
            caller = self._caller(self._bearer(request))
        except RefusedError:
            return as_json(200, {})
        return as_json(200, {"loggedIn": True, "username": caller, "iss": "argocd"})

    def _logout(self, request: Request) -> Answer:
        token = _cookie(request)
        if not token:
            return as_text(400, "Failed to retrieve ArgoCD auth token\n")
        self.received.add(token)
        if self.accepts(token):
            claims = read(token, self.now())
            if claims.expires_at:  # what never expires, an API key, is not ended here
                self._ended.add(claims.key_id)
        return Answer(303, b"", {"Location": f"{self.rootpath}/"})


def _cookie(request: Request) -> str:
    for part in (request.headers.get("Cookie") or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "argocd.token":
            return value
    return ""
