"""Argo CD's account API: login, account, keys. The behaviour is that of 3.6 (``server/account``, ``util/session``)."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hook import log
from hook.errors import (
    HEALS,
    AnswerError,
    AuthError,
    KeyRefusedError,
    LoginRefusedError,
    LoginUnansweredError,
    TemporaryError,
    WrongServerError,
)
from hook.retry import Deadline, until
from hook.transport import NO_VERDICT_TOLD_APART, Answer, Transport

LOCKOUT = "5 minutes"
FASTEST_VERDICT = 0.5
"""Seconds. Argo CD delays each login it looks at by at least this much (``verificationDelayNoiseMin``)."""

_REQUEST_TIMEOUT = 15.0
_UNCERTAIN_LOGINS = 2
_DOUBTFUL_LOGINS = 2
_PROBES = 3
_JITTER = 0.1
"""Seconds by which equal requests differ where times mean nothing: on an idle machine it is a hundredth of that."""
_OVERLOAD_PASSES = 15.0
"""Seconds to wait before a password is sent again that may have been looked at."""


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
        self._uncertain_logins = 0
        self._doubtful_logins = 0
        self._crowded = False
        """Argo CD has refused a login at once: it has more in flight than it takes."""

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def version(self) -> str:
        """Return Argo CD's version. Needs no credential: it shows that this is Argo CD before one is sent."""
        data = _object(self._call("Argo CD's version", "GET", "/api/version").json, self.url)
        version = data.get("Version")
        if not isinstance(version, str):
            raise _shape(self.url)
        return version[:40]

    def login(self, username: str, password: str) -> str:
        """Return a session token (24 h by default). End it with ``logout``.

        A refused password is sent once (five refusals lock the account): LoginRefusedError, or KeyRefusedError
        when Argo CD says that the account is disabled or may not log in. A refusal that comes faster than any
        verdict can is Argo CD's limit of logins in flight and is tried again. A login whose outcome was lost
        on the way may have been a refusal, so it is sent twice more at the most (LoginUnansweredError).
        """
        self.version()
        return until(self._deadline, "Login", lambda: self._login_once(username, password), heals=HEALS)

    def _login_once(self, username: str, password: str) -> str:
        body = {"username": username, "password": password}
        try:
            data = self._send("POST", "/api/v1/session", body=body, timeout=max(1.0, self._deadline.left())).json
        except KeyRefusedError as e:
            raise self._login_refusal(e, username, self._transport.waited) from None
        except AnswerError as e:
            if e.status == 400:
                raise _refused_login(
                    self.url, username, "it says the user name or password has no valid form"
                ) from None
            raise
        except HEALS as e:
            self._uncertain_logins += e.sent
            if self._uncertain_logins > _UNCERTAIN_LOGINS:
                raise LoginUnansweredError(
                    f"Argo CD at {self.url} did not answer {self._uncertain_logins} logins in a row.",
                    "Make sure that Argo CD is ready, then try again: more attempts could lock the account.",
                    status=0,
                    code=-1,
                ) from None
            raise
        token = _object(data, self.url).get("token")
        if not isinstance(token, str) or not token:
            raise _shape(self.url)
        return token

    def _login_refusal(self, error: KeyRefusedError, username: str, seconds: float) -> AuthError:
        if "is disabled" in error.reason or "no login" in error.reason:
            return error  # only the right password is told this, so it says nothing against the password
        if error.reason == NO_VERDICT_TOLD_APART and self._no_verdict(seconds):
            return TemporaryError(
                f"Argo CD at {self.url} has too many logins in flight.",
                "Try again in a minute.",
                retry_after=0.0 if seconds < FASTEST_VERDICT else _OVERLOAD_PASSES,
            )
        return _refused_login(
            self.url,
            username,
            f"the password is wrong, the account does not exist, or it is locked for {LOCKOUT}"
            " after 5 failed logins (Argo CD words these alike)",
        )

    def _no_verdict(self, seconds: float) -> bool:
        """Tell whether a refusal after ``seconds`` came too fast for Argo CD to have looked at the password.

        On an overloaded machine that can't be told from the time alone. There a refusal that may have been none counts
        as none, with a long wait, and a few times only: never as often as locks an account.
        """
        if seconds < FASTEST_VERDICT:
            self._crowded = True
            return True
        if self._doubtful_logins >= _DOUBTFUL_LOGINS or not self._is_doubtful(seconds):
            return False
        self._doubtful_logins += 1
        return True

    def _is_doubtful(self, seconds: float) -> bool:
        """Ask what costs Argo CD nothing, and see how long that takes just now, and how differently each time."""
        if self._crowded:
            return True
        took = []
        for _ in range(_PROBES):
            try:
                self._send("GET", "/api/version", timeout=_REQUEST_TIMEOUT)
            except AuthError:
                return False
            took.append(self._transport.waited)
        return seconds - min(took) < FASTEST_VERDICT or max(took) - min(took) > _JITTER

    def logout(self, session: str) -> None:
        """End a session. ``DELETE /api/v1/session`` ends nothing; ``/auth/logout`` does (303).

        Tried for 10 seconds at most: a session ends by itself within a day.
        """

        def attempt() -> Answer:
            return self._send("GET", "/auth/logout", cookie=session, timeout=5.0, redirect_is_answer=True)

        until(Deadline(min(10.0, 1 + self._deadline.left())), "Logout", attempt)

    def account(self, name: str, bearer: str) -> Account:
        """Return account ``name``, which may always read itself, whatever its RBAC role."""
        return _account(self._call("Account", "GET", _path(name), bearer=bearer).json, self.url)

    def create_key(self, name: str, key_id: str, bearer: str) -> str:
        """Create the non-expiring API key ``key_id`` and return its token.

        Never repeated blindly: when the answer is lost (UnreachableError with ``sent``, TemporaryError) the
        caller looks at the account.
        """
        body = {"name": name, "id": key_id, "expiresIn": 0}
        data = self._send("POST", f"{_path(name)}/token", bearer=bearer, body=body, timeout=_REQUEST_TIMEOUT).json
        token = _object(data, self.url).get("token")
        if not isinstance(token, str) or not token:
            raise _shape(self.url)
        return token

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
        data = _object(self._call("RBAC", "GET", path, bearer=bearer).json, self.url)
        return data.get("value") == "yes"

    def _send(self, method: str, path: str, **how: Any) -> Answer:
        with log.Span(f"{method} {path}"):
            return self._transport.send(method, path, **how)

    def _call(self, what: str, method: str, path: str, bearer: str | None = None) -> Answer:
        def attempt() -> Answer:
            return self._send(method, path, bearer=bearer, timeout=min(_REQUEST_TIMEOUT, 1 + self._deadline.left()))

        return until(self._deadline, what, attempt)


def _path(name: str) -> str:
    return f"/api/v1/account/{quote(name, safe='')}"


def _object(data: Any, url: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _shape(url)
    return data


def _shape(url: str) -> WrongServerError:
    return WrongServerError(
        f"{url} answers JSON, but not what Argo CD's API answers.",
        "Point global.external-arg-cd.server at Argo CD (2.14 or later) itself.",
    )


def _refused_login(url: str, username: str, why: str) -> LoginRefusedError:
    return LoginRefusedError(
        f"Argo CD at {url} refuses the login of account {username}: {why}.",
        f"Wait {LOCKOUT}, try the password once with argocd login --username {username}, put the right one in the"
        " Secret or values, and run helm upgrade --install again.",
    )


def _account(data: Any, url: str) -> Account:
    fields = _object(data, url)
    name, capabilities, tokens = fields.get("name"), fields.get("capabilities") or [], fields.get("tokens") or []
    if not isinstance(name, str) or not isinstance(capabilities, list) or not isinstance(tokens, list):
        raise _shape(url)
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
