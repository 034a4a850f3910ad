"""The credential, proved to Argo CD: at most one login, and none with a password that was refused lately."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import Account, ArgoCD
from gitops_runtime_auth.config.settings import Settings
from gitops_runtime_auth.errors import (
    AuthError,
    ConfigurationError,
    KeyRefusedError,
    LoginRefusedError,
    LoginUnansweredError,
    Refusal,
)
from gitops_runtime_auth.keys import given, lockout
from gitops_runtime_auth.keys.lockout import Login, Record, Verdict
from gitops_runtime_auth.keys.managers import Manager
from gitops_runtime_auth.keys.session import hinted
from gitops_runtime_auth.kube.stored import StoredKey
from gitops_runtime_auth.preflight import memory
from gitops_runtime_auth.preflight.laptop import Laptop
from gitops_runtime_auth.release import Release

_LOCAL_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""What an account can be called: ``accounts.NAME`` is a key of a ConfigMap that Argo CD splits at its dots
(``util/settings/accounts.go``), and longer names are refused at login (``util/session/sessionmanager.go``)."""
PRIVILEGE = {
    Refusal.NO_API_KEY_CAPABILITY: "apiKey",
    Refusal.NO_LOGIN_CAPABILITY: "login",
    Refusal.ACCOUNT_DISABLED: "Enabled",
    Refusal.ACCOUNT_MISSING: "Account",
}
"""Refusals that say something about the account and nothing against the credential, and the row that they belong in."""


@dataclass(frozen=True)
class Question:
    """All that is needed to ask."""

    laptop: Laptop
    settings: Settings
    argocd: ArgoCD
    manager: Manager
    secret: str = field(repr=False)
    """The password or token."""
    stored: StoredKey | None
    """The API key that an earlier run of the hook stored."""
    records: tuple[Record, ...] = ()
    """Refused passwords, as releases in this namespace recorded them."""


@dataclass(frozen=True)
class Proof:
    """The account as Argo CD shows it to the credential."""

    account: Account
    bearer: str = field(repr=False)
    """The API key or session that was accepted."""
    how: str
    """What it was proved with, in a sentence for the report."""


def prove(question: Question) -> Proof:
    """Show the credential to Argo CD.

    Raises KeyRefusedError (with a refusal of ``PRIVILEGE`` when the account is what is wrong), LoginRefusedError,
    LoginUnansweredError, ConfigurationError for a token that can't serve.
    """
    return _of_token(question) if question.settings.auth.type == "token" else _of_password(question)


def account_name(question: Question) -> str:
    """Return the account that is asked about: a token says itself whose it is."""
    claims = tokens.read(question.secret) if question.settings.auth.type == "token" else None
    return claims.account if claims else question.settings.auth.username


def require_local_name(name: str) -> None:
    """Raise ConfigurationError for a name that no local account can have: then nothing needs to be sent to know it."""
    if not _LOCAL_NAME.fullmatch(name):
        raise ConfigurationError(
            f"Argo CD can have no local account called {name}.",
            "Name a local account: letters, digits, - and _ only, 32 at most. People who log in by SSO have none, so"
            " make one for the Runtime (argocd-cm: accounts.NAME: apiKey,login).",
        )


def _of_token(question: Question) -> Proof:
    release = Release(question.laptop.options.release, question.laptop.namespace)
    claims = given.read(question.settings, release, question.secret, question.argocd.now())
    name = claims.account
    try:
        account = question.argocd.account(name, question.secret)
    except KeyRefusedError as e:
        if e.refusal in PRIVILEGE:
            raise
        raise _replaced(question, name, e) from None
    until = f" until {datetime.fromtimestamp(claims.expires_at, UTC):%Y-%m-%d %H:%M} UTC" if claims.expires_at else ""
    return Proof(account, question.secret, f"an API key, and Argo CD accepts it{until or '; it does not expire'}")


def _of_password(question: Question) -> Proof:
    name, stored = question.settings.auth.username, question.stored
    if stored is not None and (stored.account, stored.url) == (name, question.settings.server.url) and stored.key_id:
        try:
            account = question.argocd.account(name, stored.token)
        except KeyRefusedError as e:
            if e.refusal in PRIVILEGE:
                raise
        else:
            return Proof(account, stored.token, "not needed, so not tried: the stored API key still works")
    session = _login(question, name)
    return Proof(question.argocd.account(name, session), session, "Argo CD accepts the password")


def _login(question: Question, name: str) -> str:
    """Log in once, with a session that ends with the run. Raises what the login does, or what the records say."""
    login = Login(question.settings.server.url, name, question.secret)
    for record in (*question.records, *memory.read()):
        why = lockout.block(record, login, question.argocd.now(), question.laptop.timing, hook=False)
        if why:
            raise lockout.refused(login, why)
    try:
        session = question.argocd.login(name, question.secret, again_in_doubt=False)
    except (LoginRefusedError, LoginUnansweredError) as e:
        if e.sends:
            verdict: Verdict = "refused" if isinstance(e, LoginRefusedError) else "unclear"
            memory.note(lockout.record_of(login, question.argocd.now(), e.sends, verdict))
        raise hinted(e, question.settings.auth, question.secret) from None
    question.laptop.stack.callback(_end, question.argocd, session)
    return session


def _end(argocd: ArgoCD, session: str) -> None:
    """End the session. One that can't be ended ends by itself within a day, which is no reason to fail."""
    try:
        argocd.logout(session)
    except AuthError:
        return


def _replaced(question: Question, name: str, error: KeyRefusedError) -> AuthError:
    auth, namespace = question.settings.auth, question.laptop.namespace
    new = f"Make a new one (argocd account generate-token --account {name}) and"
    ref = auth.credential
    where = (
        "set it instead."
        if auth.inline
        else f'put it into Secret "{ref.name}", key "{ref.key}", in namespace {namespace}.'
    )
    return KeyRefusedError(
        f"Argo CD at {question.settings.server.url} refuses the API key of account {name} from {auth.origin()}:"
        f" {error.refusal.value}.",
        f"{new} {where}",
        refusal=error.refusal,
    )
