"""Argo CD's account API: login, account, keys. The behaviour is that of 3.6 (``server/account``, ``util/session``)."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.http import Answer, Transport
from gitops_runtime_auth.argocd.login import Logins
from gitops_runtime_auth.errors import AnswerError
from gitops_runtime_auth.retry import Deadline, retry

_REQUEST_TIMEOUT = 15.0


@dataclass(frozen=True)
class Key:
    """An API key as Argo CD lists it; times in Unix seconds, ``expires_at`` 0 for never."""

    id: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True)
class Account:
    """An account as Argo CD shows it. ``capabilities`` may come twice over the wire; here each is one."""

    name: str
    enabled: bool
    capabilities: frozenset[str]
    keys: tuple[Key, ...]

    def has_key(self, key_id: str) -> bool:
        """Tell whether Argo CD lists ``key_id``: only a listed key is accepted."""
        return any(key.id == key_id for key in self.keys)

    def issued_at(self, key_id: str) -> int:
        """Return the Unix time at which ``key_id`` was made, 0 when it is not listed."""
        return next((key.issued_at for key in self.keys if key.id == key_id), 0)


class ArgoCD:
    """The calls that the product makes. Every one retries what heals until ``deadline``.

    Raises UnreachableError or TemporaryError when the deadline passed, KeyRefusedError when Argo CD does not
    accept the bearer token, AnswerError for other refusals, WrongServerError when it is not Argo CD.
    """

    def __init__(self, transport: Transport, deadline: Deadline) -> None:
        self._transport = transport
        self._deadline = deadline
        self.url = transport.server.url
        self._logins = Logins(self.send, transport, deadline)
        self._known = False
        """It has shown to be Argo CD since the last password was sent."""

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def version(self) -> str:
        """Return Argo CD's version. Needs no credential: it shows that this is Argo CD before one is sent."""
        version = self._call("Argo CD's version", "GET", "/api/version").string("Version")[:40]
        self._known, self._logins.before = True, [self._transport.waited]
        return version

    def login(self, username: str, password: str) -> str:
        """Return a session token (24 h by default). End it with ``logout``. Asks for the version first if none did.

        Raises what ``Logins.attempt`` does, of what heals only when the deadline has passed.
        """
        if not self._known:
            self.version()
        self._known = False
        return retry(self._deadline, "Login", lambda: self._logins.attempt(username, password))

    def logout(self, session: str) -> None:
        """End a session. ``DELETE /api/v1/session`` ends nothing; ``/auth/logout`` does (303).

        Tried for 10 seconds at most: a session ends by itself within a day.
        """

        def attempt() -> Answer:
            return self.send("GET", "/auth/logout", cookie=session, timeout=5.0, redirect_is_answer=True)

        retry(Deadline(min(10.0, 1 + self._deadline.left())), "Logout", attempt)

    def account(self, name: str, bearer: str) -> Account:
        """Return account ``name``, which may always read itself, whatever its RBAC role."""
        return _account(self._call("Account", "GET", _path(name), bearer=bearer))

    def create_key(self, name: str, key_id: str, bearer: str) -> str:
        """Create the non-expiring API key ``key_id`` and return its token.

        Never repeated blindly: when the answer is lost (UnreachableError with ``sent``, TemporaryError) the
        caller looks at the account.
        """
        body = {"name": name, "id": key_id, "expiresIn": 0}
        made = self.send("POST", f"{_path(name)}/token", bearer=bearer, body=body, timeout=_REQUEST_TIMEOUT)
        return made.string("token")

    def delete_key(self, name: str, key_id: str, bearer: str) -> None:
        """Revoke a key; one that is gone already is fine."""
        try:
            self._call("Revoking a key", "DELETE", f"{_path(name)}/token/{quote(key_id, safe='')}", bearer=bearer)
        except AnswerError as e:
            if e.status != 404:
                raise

    def may_see_applications(self, bearer: str) -> bool:
        """Tell whether the account's RBAC role lets it get every application."""
        path = "/api/v1/account/can-i/applications/get/*/*"
        return self._call("RBAC", "GET", path, bearer=bearer).object().get("value") == "yes"

    def send(self, method: str, path: str, **how: Any) -> Answer:
        """Send one request, as ``Transport.send`` does: once, whatever comes of it."""
        with log.Span(f"{method} {path}"):
            return self._transport.send(method, path, **how)

    def _call(self, what: str, method: str, path: str, bearer: str | None = None) -> Answer:
        def attempt() -> Answer:
            return self.send(method, path, bearer=bearer, timeout=min(_REQUEST_TIMEOUT, 1 + self._deadline.left()))

        return retry(self._deadline, what, attempt)


def _path(name: str) -> str:
    return f"/api/v1/account/{quote(name, safe='')}"


def _account(answer: Answer) -> Account:
    fields = answer.object()
    name, capabilities, tokens = fields.get("name"), fields.get("capabilities") or [], fields.get("tokens") or []
    if not isinstance(name, str) or not isinstance(capabilities, list) or not isinstance(tokens, list):
        raise answer.unexpected()
    keys = tuple(
        Key(token["id"], _int(token.get("issuedAt")), _int(token.get("expiresAt")))
        for token in tokens
        if isinstance(token, dict) and isinstance(token.get("id"), str)
    )
    known = frozenset(c for c in capabilities if isinstance(c, str))
    return Account(name, fields.get("enabled") is True, known, keys)


def _int(value: Any) -> int:
    """gRPC gateways write 64-bit integers as strings, and leave zeros out."""
    text = str(value or 0)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
