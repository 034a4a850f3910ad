"""Calls Argo CD's account API, as it is in 2.14 to 3.6 (``server/account``, ``util/session``)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd import token
from gitops_runtime_auth.argocd.calls import Calls
from gitops_runtime_auth.argocd.http import Answer, Transport
from gitops_runtime_auth.argocd.login import Logins
from gitops_runtime_auth.errors import AnswerError, AuthError, KeyRefusedError, Refusal, RetryableError
from gitops_runtime_auth.retry import Deadline, retry
from gitops_runtime_auth.timing import Timing

_LOGOUT_SECONDS = 10.0
"""Time for ending a session, which otherwise expires within a day."""
_LONGEST_INTEGER = 19
"""Digits that a 64-bit integer has at most."""


@dataclass(frozen=True)
class Key:
    """An API key as Argo CD lists it; times in Unix seconds, ``expires_at`` 0 for never."""

    id: str
    issued_at: int
    expires_at: int


@dataclass(frozen=True)
class Account:
    """An account as Argo CD shows it. Argo CD may list a capability twice; ``capabilities`` has it once."""

    name: str
    enabled: bool
    capabilities: frozenset[str]
    keys: tuple[Key, ...]

    def has_key(self, key_id: str) -> bool:
        """Tell whether Argo CD lists ``key_id``, because it accepts listed keys only."""
        return any(key.id == key_id for key in self.keys)

    def issued_at(self, key_id: str) -> int:
        """Return the Unix time at which ``key_id`` was made, 0 if it is not listed."""
        return next((key.issued_at for key in self.keys if key.id == key_id), 0)


class ArgoCD:
    """Makes the calls that the product needs. Each retries temporary failures until ``deadline``.

    Raises UnreachableError or TemporaryError if the deadline has passed, KeyRefusedError if Argo CD does not accept the
    bearer token, AnswerError for other refusals, WrongServerError if another server answers, and
    ConfigurationError if the request can't be sent at all.
    """

    def __init__(self, transport: Transport, deadline: Deadline, timing: Timing) -> None:
        self._calls = Calls(transport, deadline, timing)
        self._logins = Logins(self._calls)

    @property
    def url(self) -> str:
        """The address of this Argo CD."""
        return self._calls.url

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    def version(self) -> str:
        """Return Argo CD's version, at most 40 characters. Needs no credential."""
        return self._calls.version()

    def now(self) -> float:
        """Return the Unix time by Argo CD's clock, or by this machine's before Argo CD has answered."""
        return self._calls.now()

    def login(self, username: str, password: str, *, again_in_doubt: bool) -> str:
        """Return a session token, which expires after 24 h by default; end it with ``end``.

        If it is unclear whether Argo CD looked at the password, it is sent again with ``again_in_doubt`` only. Raises
        what ``Logins.log_in`` does.
        """
        return self._logins.log_in(username, password, again_in_doubt=again_in_doubt)

    @contextmanager
    def session(self, username: str, password: str, *, again_in_doubt: bool) -> Iterator[str]:
        """Log in as ``login`` does, hand over the session token, and end the session as ``end`` does."""
        session = self.login(username, password, again_in_doubt=again_in_doubt)
        try:
            yield session
        finally:
            self.end(session)

    def end(self, session: str) -> None:
        """End a session. A failure is only logged, because the session expires within a day."""
        try:
            self.logout(session)
        except AuthError as e:
            log.warning(f"The login session could not be ended ({e}) It expires within a day.")

    def logout(self, session: str) -> None:
        """End a session, within 10 seconds and even after the deadline.

        ``DELETE /api/v1/session`` ends nothing; ``GET /auth/logout`` does, and redirects with 303
        (``server/logout/logout.go``).
        """
        calls = self._calls
        deadline = Deadline(min(_LOGOUT_SECONDS, 1 + calls.deadline.left()))

        def attempt() -> Answer:
            return calls.once("GET", "/auth/logout", cookie=session, timeout=_LOGOUT_SECONDS / 2, expected=303)

        retry(deadline, "Logout", attempt, calls.timing)

    def account(self, name: str, bearer: str) -> Account:
        """Return account ``name``, which may always read itself, whatever its RBAC role.

        An Argo CD with anonymous users (``users.anonymous.enabled``) treats a token that it does not accept as if there
        were none. So if ``bearer`` is the account's own key, it must be listed, too; KeyRefusedError is raised if not.
        """
        claims = token.read(bearer)
        own = claims is not None and claims.account == name
        try:
            account = _account(self._calls.retried("Account", "GET", _path(name), bearer))
        except AnswerError as e:
            if own and e.refusal is Refusal.PERMISSION_DENIED:
                raise self._anonymous(Refusal.UNKNOWN) from None
            raise
        if claims and own and claims.kind is token.Kind.API_KEY and not account.has_key(claims.key_id):
            raise self._anonymous(Refusal.KEY_REVOKED)
        return account

    def create_key(self, name: str, key_id: str, bearer: str) -> str:
        """Create the non-expiring API key ``key_id`` and return its token.

        It is retried only if Argo CD has certainly not handled the request. If the answer is lost (RetryableError
        with ``sent``), the key may exist, so the caller has to look at the account.
        """
        calls = self._calls
        body = {"name": name, "id": key_id, "expiresIn": 0}

        def attempt() -> Answer | RetryableError:
            try:
                return calls.once("POST", f"{_path(name)}/token", bearer=bearer, body=body)
            except RetryableError as e:
                if e.sent:
                    return e
                raise

        made = retry(calls.deadline, "Creating the API key", attempt, calls.timing)
        if isinstance(made, RetryableError):
            raise made
        return made.string("token")

    def delete_key(self, name: str, key_id: str, bearer: str) -> None:
        """Revoke a key, or do nothing if there is none. Raises AnswerError if the account does not exist."""
        try:
            self._calls.retried("Revoking a key", "DELETE", f"{_path(name)}/token/{quote(key_id, safe='')}", bearer)
        except AnswerError as e:
            if e.refusal is not Refusal.KEY_REVOKED:
                raise

    def may_see_applications(self, bearer: str) -> bool:
        """Tell whether the account's RBAC role allows it to get every application."""
        path = "/api/v1/account/can-i/applications/get/*/*"
        return self._calls.retried("RBAC", "GET", path, bearer).object().get("value") == "yes"

    def _anonymous(self, refusal: Refusal) -> KeyRefusedError:
        return KeyRefusedError(
            f"Argo CD at {self.url} does not accept the token, and answers as to an anonymous user.",
            "Make a new key in Argo CD (argocd account generate-token) and store it in the Secret.",
            refusal=refusal,
        )


def _path(name: str) -> str:
    return f"/api/v1/account/{quote(name, safe='')}"


def _account(answer: Answer) -> Account:
    fields = answer.object()
    name, capabilities, keys = fields.get("name"), fields.get("capabilities") or [], fields.get("tokens") or []
    if not isinstance(name, str) or not isinstance(capabilities, list) or not isinstance(keys, list):
        raise answer.unexpected()
    listed = tuple(
        Key(key["id"], _integer(key.get("issuedAt")), _integer(key.get("expiresAt")))
        for key in keys
        if isinstance(key, dict) and isinstance(key.get("id"), str)
    )
    known = frozenset(c for c in capabilities if isinstance(c, str))
    return Account(name, fields.get("enabled") is True, known, listed)


def _integer(value: object) -> int:
    """Return an integer of the answer: gRPC gateways write those of 64 bits as strings, and leave zeros out."""
    text = str(value or 0)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_INTEGER else 0
