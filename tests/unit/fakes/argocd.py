"""Argo CD's account API in memory, as far as the product uses it (3.6: ``server/account``, ``util/session``)."""

import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx
import jwt

SIGNING_KEY = "the fake Argo CD's own signing key"
LOCKS_AFTER = 5
ADMIN_ROLE = "admin"

Verdict = tuple[int, dict[str, Any]]
_INVALID: Verdict = (
    401,
    {"error": "Invalid username or password", "code": 16, "message": "Invalid username or password"},
)


@dataclass
class FakeAccount:
    """An account; ``capabilities`` are those of its entry in argocd-cm, in that order and as often."""

    password: str
    capabilities: list[str] = field(default_factory=lambda: ["apiKey", "login"])
    enabled: bool = True
    keys: dict[str, int] = field(default_factory=dict)
    failures: int = 0


class FakeArgoCD:
    """Accounts, keys, sessions and the login counter. ``answer`` is a handler for ``httpx.MockTransport``."""

    def __init__(self) -> None:
        self.accounts = {"admin": FakeAccount("s3cret-canary-password")}
        self.ended: set[str] = set()
        self.sessions: list[str] = []
        self.logins: list[str] = []
        """One word for each login that came in: ok, refused, busy."""
        self.verdict_takes = 0.06
        """Seconds for a refusal; the real one takes at least 0.5 for any verdict, and says "too many" at once."""
        self.busy_logins = 0
        self.made: list[str] = []
        self._count = itertools.count(1)

    def live_sessions(self) -> list[str]:
        return [s for s in self.sessions if s not in self.ended]

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET" and request.headers.get("Content-Type") != "application/json":
            return httpx.Response(415, text="Invalid content type")
        path = unquote(request.url.raw_path.decode()).split("/")[1:]
        body = json.loads(request.content or b"{}")
        match request.method, path:
            case "GET", ["api", "version"]:
                return httpx.Response(200, json={"Version": "v3.6.1"})
            case "POST", ["api", "v1", "session"]:
                return _response(self._login(body.get("username", ""), body.get("password", "")))
            case "GET", ["auth", "logout"]:
                self.ended.add(request.headers.get("Cookie", "").removeprefix("argocd.token="))
                return httpx.Response(303, headers={"Location": "/"})
        caller = self._caller(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if isinstance(caller, httpx.Response):
            return caller
        return _response(self._account(request.method, path[3:], body, caller))

    def _login(self, username: str, password: str) -> Verdict:
        if self.busy_logins:
            self.busy_logins -= 1
            self.logins.append("busy")
            return _INVALID
        if not password:
            return _refusal(401, 16, "no credentials supplied")
        if len(username) > 32:
            return _refusal(400, 3, "username too long")
        account = self.accounts.get(username)
        if account is None or account.failures >= LOCKS_AFTER or account.password != password:
            self.logins.append("refused")
            time.sleep(self.verdict_takes)
            if account:
                account.failures += 1
            return _INVALID
        if not account.enabled:
            return _refusal(401, 16, f"Account {username} is disabled")
        if "login" not in account.capabilities:
            return _refusal(401, 16, f"Account {username} does not have 'login' capability")
        self.logins.append("ok")
        account.failures = 0
        session = self._token(f"{username}:login", f"session-{next(self._count)}", exp=int(time.time()) + 86400)
        self.sessions.append(session)
        return 200, {"token": session}

    def _caller(self, token: str) -> str | httpx.Response:
        try:
            claims = jwt.decode(token, SIGNING_KEY, algorithms=["HS256"])
        except jwt.PyJWTError:
            return _response(_refusal(401, 16, "no session information"))
        name, _, capability = claims["sub"].rpartition(":")
        account = self.accounts.get(name)
        if account is None:
            why = f"account '{name}' does not exist"
        elif not account.enabled:
            why = f"account {name} is disabled"
        elif capability not in account.capabilities:
            why = f"account {name} does not have '{capability}' capability"
        elif capability == "apiKey" and claims["jti"] not in account.keys:
            why = f"account {name} does not have token with id {claims['jti']}"
        elif token in self.ended:
            why = "token is revoked, please re-login"
        else:
            return str(name)
        return _response(_refusal(401, 16, f"invalid session: {why}"))

    def _account(self, method: str, path: list[str], body: dict[str, Any], caller: str) -> Verdict:
        match method, path:
            case "GET", ["can-i", *_]:
                return 200, {"value": "yes" if caller == ADMIN_ROLE else "no"}
            case "GET", [name] if name == caller:
                return 200, self.shown(name)
            case "POST", [name, "token"] if name == caller:
                return self._create(name, body["id"])
            case "DELETE", [name, "token", key_id] if name == caller:
                if self.accounts[name].keys.pop(key_id, None) is None:
                    return _refusal(404, 5, f"token with id '{key_id}' does not exist")
                return 200, {}
        return _refusal(403, 7, "permission denied")

    def _create(self, name: str, key_id: str) -> Verdict:
        account = self.accounts[name]
        if "apiKey" not in account.capabilities:
            return _refusal(500, 2, f"account '{name}' does not have apiKey capability")
        if key_id in account.keys:
            return _refusal(
                500, 2, f"failed to update account with new token: account already has token with id '{key_id}'"
            )
        account.keys[key_id] = int(time.time()) + len(self.logins)  # a login takes its time
        token = self._token(f"{name}:apiKey", key_id)
        self.made.append(token)
        return 200, {"token": token}

    def shown(self, name: str) -> dict[str, Any]:
        account = self.accounts[name]
        # Argo CD's own account can log in before argocd-cm is read (``util/settings/accounts.go``): duplicates.
        own = ["login"] if name == "admin" else []
        shown: dict[str, Any] = {"name": name, "capabilities": [*own, *account.capabilities]}
        if account.enabled:
            shown["enabled"] = True
        if account.keys:
            shown["tokens"] = [{"id": i, "issuedAt": str(at)} for i, at in account.keys.items()]
        return shown

    @staticmethod
    def _token(subject: str, key_id: str, **claims: int) -> str:
        now = int(time.time())
        return jwt.encode(
            {"iss": "argocd", "sub": subject, "jti": key_id, "iat": now, "nbf": now, **claims}, SIGNING_KEY
        )


def _refusal(status: int, code: int, message: str) -> Verdict:
    return status, {"error": message, "code": code, "message": message}


def _response(verdict: Verdict) -> httpx.Response:
    return httpx.Response(verdict[0], json=verdict[1])
