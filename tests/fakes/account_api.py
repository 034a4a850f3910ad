"""Argo CD's HTTP routes for accounts, keys and sessions, over the state of a ``FakeArgoCD``.

Sources: ``server/account/account.go``, ``server/session``, ``server/logout`` and ``server/server.go`` of Argo CD 3.6.1.
"""

import re
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.fakes.accounts import ADMIN, Account
from tests.fakes.logins import LONGEST_NAME, Verdict
from tests.fakes.tokens import Claims, UntrustedError, read
from tests.fakes.web import Answer, Request, as_json, as_text

if TYPE_CHECKING:
    from tests.fakes.argocd import FakeArgoCD

_PAGE = Answer(200, b"<!doctype html><title>Argo CD</title>", {"Content-Type": "text/html; charset=utf-8"})


class RefusalError(Exception):
    """An answer other than 200: HTTP status, gRPC code, Argo CD's words."""

    def __init__(self, status: int, code: int, words: str, **headers: str) -> None:
        super().__init__(words)
        self.answer = as_json(status, {"error": words, "code": code, "message": words}, **headers)


def unauthenticated(words: str, **headers: str) -> RefusalError:
    """Return the refusal with which Argo CD answers 401."""
    return RefusalError(401, 16, words, **headers)


class AccountApi:
    """``handle`` answers a request."""

    def __init__(self, argocd: "FakeArgoCD") -> None:
        self._argocd = argocd
        self._lock = threading.RLock()
        # As grpc-gateway matches them: by the segments of the path, before they are decoded.
        self._routes: list[tuple[str, dict[str, Callable[..., Answer]]]] = [
            (r"/api/version", {"GET": self._version}),
            (r"/api/v1/session", {"POST": self._login, "DELETE": self._end_nothing}),
            (r"/api/v1/session/userinfo", {"GET": self._user_info}),
            (r"/api/v1/account", {"GET": self._list}),
            (r"/api/v1/account/can-i/([^/]+)/([^/]+)/.*", {"GET": self._can_i}),
            (r"/api/v1/account/password", {"PUT": self._set_password}),
            (r"/api/v1/account/([^/]+)", {"GET": self._get}),
            (r"/api/v1/account/([^/]+)/token", {"POST": self._create_key}),
            (r"/api/v1/account/([^/]+)/token/([^/]+)", {"DELETE": self._delete_key}),
        ]

    def handle(self, request: Request) -> Answer:
        """Answer a request."""
        rootpath = self._argocd.rootpath
        if not request.path.startswith(f"{rootpath}/"):
            return as_text(404, "404 page not found\n")
        path = request.path.removeprefix(rootpath)
        if path == "/auth/logout":
            return self._logout(request)
        if not path.startswith("/api/"):
            return _PAGE
        if request.method != "GET" and (request.headers.get("Content-Type") or "").lower() != "application/json":
            return as_text(415, "Invalid content type\n")
        answer = self._route(request, path)
        if "gzip" in (request.headers.get("Accept-Encoding") or ""):
            return Answer(answer.status, _zipped(answer.body), {**answer.headers, "Content-Encoding": "gzip"})
        return answer

    def _route(self, request: Request, path: str) -> Answer:
        for pattern, methods in self._routes:
            found = re.fullmatch(pattern, path)
            if found is None or "%2F" in path:
                continue
            if request.method not in methods:
                return as_text(405, "Method Not Allowed\n")
            try:
                return methods[request.method](request, *map(unquote, found.groups()))
            except RefusalError as e:
                return e.answer
        return as_text(404, "Not Found\n")

    # Accounts and keys

    def _list(self, request: Request) -> Answer:
        caller = self.caller(request).account
        names = sorted({ADMIN, *self._argocd.accounts.secret} if caller == ADMIN else {caller})
        found = [self._argocd.accounts.find(name) for name in names]
        return as_json(200, {"items": [account.shown() for account in found if account]})

    def _can_i(self, request: Request, _: str, __: str) -> Answer:
        caller = self.caller(request).account
        return as_json(200, {"value": "yes" if caller in self._argocd.may_see else "no"})

    def _get(self, request: Request, name: str) -> Answer:
        with self._lock:
            return as_json(200, self._permitted(request, "get", name).shown())

    def _create_key(self, request: Request, name: str) -> Answer:
        failed, body = "failed to update account with new token", request.object()
        with self._lock:
            account = self._permitted(request, "update", name)
            key_id, seconds = str(body.get("id", "")), int(body.get("expiresIn") or 0)
            if account.kept.key(key_id):
                raise RefusalError(500, 2, f"{failed}: account already has token with id '{key_id}'")
            if "apiKey" not in account.capabilities:
                raise RefusalError(500, 2, f"{failed}: account '{name}' does not have apiKey capability")
            token = self._argocd.make_key(name, key_id, expires_in=seconds or self._argocd.keys_expire_after)
            self._argocd.accounts.saved(account)
            return as_json(200, {"token": token})

    def _delete_key(self, request: Request, name: str, key_id: str) -> Answer:
        with self._lock:
            account = self._permitted(request, "update", name)
            if account.kept.key(key_id) is None:
                raise RefusalError(404, 5, f"token with id '{key_id}' does not exist")
            self._argocd.revoke(name, key_id)
            self._argocd.accounts.saved(account)
            return as_json(200, {})

    def _set_password(self, request: Request) -> Answer:
        caller, body = self.caller(request).account, request.object()
        if self._argocd.logins.look(caller, str(body.get("currentPassword", ""))) is not Verdict.OK:
            raise RefusalError(400, 3, "current password does not match")
        name = str(body.get("name") or caller)
        kept = self._permitted(request, "update", name).kept
        kept.password, kept.password_mtime = str(body.get("newPassword", "")), int(self._argocd.now())
        return as_json(200, {})

    def _permitted(self, request: Request, action: str, name: str) -> Account:
        """Return the account; everybody may read and change his own, and ``admin`` all."""
        caller = self.caller(request)
        if caller.account not in (name, ADMIN):
            then = datetime.fromtimestamp(caller.issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            words = f"accounts, {action}, {name}, sub: {caller.account}, iat: {then}"
            raise RefusalError(403, 7, f"permission denied: {words}")
        found = self._argocd.accounts.find(name)
        if found is None:
            raise RefusalError(404, 5, f"account '{name}' does not exist")
        return found

    # Sessions and tokens

    def _version(self, _: Request) -> Answer:
        return as_json(200, {"Version": "v3.6.1"})

    def _login(self, request: Request) -> Answer:
        body = request.object()
        username, password = str(body.get("username", "")), str(body.get("password", ""))
        self._argocd.received.add(password)
        verdict = self._argocd.logins.come(username, password)
        took = {"X-Took": str(self._argocd.logins.refusal_seems)} if verdict.needs_a_look else {}
        match verdict:
            case Verdict.OK:
                token = self._argocd.open_session(username)
                cookie = f"argocd.token={token}; path=/; SameSite=lax; httpOnly; Secure"
                return as_json(200, {"token": token}, **{"Set-Cookie": cookie})
            case Verdict.BLANK:
                raise unauthenticated("no credentials supplied")
            case Verdict.TOO_LONG:
                raise RefusalError(400, 3, f"Username is too long ({LONGEST_NAME} bytes max)")
            case Verdict.DISABLED:
                raise unauthenticated(f"Account {username} is disabled", **took)
            case Verdict.NO_LOGIN:
                raise unauthenticated(f"Account {username} does not have login capability", **took)
            case _:
                raise unauthenticated("Invalid username or password", **took)

    def _end_nothing(self, _: Request) -> Answer:
        return as_json(200, {})

    def _user_info(self, request: Request) -> Answer:
        """Answer 200 in any case; who is not logged in gets an empty object."""
        try:
            caller = self.caller(request).account
        except RefusalError:
            return as_json(200, {})
        return as_json(200, {"loggedIn": True, "username": caller, "iss": "argocd"})

    def _logout(self, request: Request) -> Answer:
        token = _cookie(request)
        if not token:
            return as_text(400, "Failed to retrieve ArgoCD auth token\n")
        self._argocd.received.add(token)
        if self._argocd.accepts(token):
            claims = read(token, self._argocd.now(), self._argocd.signature)
            if claims.expires_at:  # what never expires, an API key, is not ended here
                self._argocd.ended.add(claims.key_id)
        return Answer(303, b"", {"Location": f"{self._argocd.rootpath}/"})

    def caller(self, request: Request) -> Claims:
        """Return whose token a request carries: in its header, or in the cookie that a login sets."""
        header = request.headers.get("Authorization") or ""
        bearer = header.removeprefix("Bearer ") if header.startswith("Bearer ") else ""
        for token in (bearer, _cookie(request)):
            if token:
                self._argocd.received.add(token)
            if token.count(".") >= 2:
                return self.claims(token)
        raise unauthenticated("no session information")

    def claims(self, token: str) -> Claims:
        """Return what a key or session says (``Parse`` in ``util/session/sessionmanager.go``). Raises RefusalError."""
        try:
            claims = read(token, self._argocd.now(), self._argocd.signature)
        except UntrustedError as e:
            raise unauthenticated(f"invalid session: {e}") from None
        why = self._objection(claims)
        if why:
            raise unauthenticated(f"invalid session: {why}")
        return claims

    def _objection(self, claims: Claims) -> str:
        name, account = claims.account, self._argocd.accounts.find(claims.account)
        if account is None:
            return f"rpc error: code = NotFound desc = account '{name}' does not exist"
        if not account.enabled:
            return f"account {name} is disabled"
        if claims.capability not in account.capabilities:
            return f"account {name} does not have '{claims.capability}' capability"
        if claims.key_id in self._argocd.ended:
            return "token is revoked, please re-login"
        key = account.kept.key(claims.key_id)
        if claims.capability == "apiKey" and not (key and key.is_seen(asked=True)):
            return f"account {name} does not have token with id {claims.key_id}"
        if claims.issued_at < account.kept.password_mtime:
            return "account password has changed since token issued"
        return ""


def _zipped(body: bytes) -> bytes:
    """Return ``body`` as gzip, with small buffers: allocating zlib's default ones takes as long as the whole answer."""
    packer = zlib.compressobj(level=1, wbits=16 + 9, memLevel=1)
    return packer.compress(body) + packer.flush()


def _cookie(request: Request) -> str:
    for part in (request.headers.get("Cookie") or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "argocd.token":
            return value
    return ""
