"""Proves the credential to Argo CD, with at most one login, and none with a password that was just refused."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import Account, ArgoCD
from gitops_runtime_auth.config.settings import Settings
from gitops_runtime_auth.errors import (
    KeyRefusedError,
    LoginRefusedError,
    LoginUnansweredError,
    Refusal,
)
from gitops_runtime_auth.keys import lockout, user_token
from gitops_runtime_auth.keys.lockout import Login, Record, Verdict
from gitops_runtime_auth.keys.managers import Manager
from gitops_runtime_auth.keys.session import hinted
from gitops_runtime_auth.kube.stored import StoredKey
from gitops_runtime_auth.preflight import refused_logins
from gitops_runtime_auth.preflight.run import CheckRun
from gitops_runtime_auth.release import Release

PRIVILEGE = {
    Refusal.NO_API_KEY_CAPABILITY: "apiKey",
    Refusal.NO_LOGIN_CAPABILITY: "login",
    Refusal.ACCOUNT_DISABLED: "Enabled",
    Refusal.ACCOUNT_MISSING: "Account",
}
"""Refusals because of the account, not of the credential -> the row of the missing privilege."""


@dataclass(frozen=True)
class Inputs:
    """What is needed to check credential and account."""

    check: CheckRun
    settings: Settings
    argocd: ArgoCD
    manager: Manager
    secret: str = field(repr=False)
    """The password or token."""
    stored: StoredKey | None
    """The API key that an earlier run of the hook stored."""
    records: tuple[Record, ...] = ()
    """Refused passwords that releases in this namespace have recorded."""


@dataclass(frozen=True)
class Proof:
    """The account that Argo CD shows for an accepted credential."""

    account: Account
    bearer: str = field(repr=False)
    """The API key or session that was accepted."""
    how: str
    """What was accepted, for the report."""


def prove(inputs: Inputs) -> Proof:
    """Send the credential to Argo CD.

    Raises KeyRefusedError (with a refusal of ``PRIVILEGE`` if the account lacks something), LoginRefusedError,
    LoginUnansweredError, ConfigurationError for a token that can't be used.
    """
    return _of_token(inputs) if inputs.settings.auth.type == "token" else _of_password(inputs)


def account_name(inputs: Inputs) -> str:
    """Return the name of the account, which is part of a token."""
    claims = tokens.read(inputs.secret) if inputs.settings.auth.type == "token" else None
    return claims.account if claims else inputs.settings.auth.username


def _of_token(inputs: Inputs) -> Proof:
    release = Release(inputs.check.options.release, inputs.check.namespace)
    claims = user_token.read(inputs.settings, release, inputs.secret, inputs.argocd.now())
    name = claims.account
    try:
        account = inputs.argocd.account(name, inputs.secret)
    except KeyRefusedError as e:
        if e.refusal in PRIVILEGE:
            raise
        raise user_token.refused(inputs.settings, inputs.check.namespace, name, e) from None
    until = f" until {datetime.fromtimestamp(claims.expires_at, UTC):%Y-%m-%d %H:%M} UTC" if claims.expires_at else ""
    return Proof(account, inputs.secret, f"an API key, and Argo CD accepts it{until or '; it does not expire'}")


def _of_password(inputs: Inputs) -> Proof:
    name, stored = inputs.settings.auth.username, inputs.stored
    if stored is not None and (stored.account, stored.url) == (name, inputs.settings.server.url) and stored.key_id:
        try:
            account = inputs.argocd.account(name, stored.token)
        except KeyRefusedError as e:
            if e.refusal in PRIVILEGE:
                raise
        else:
            return Proof(account, stored.token, "not needed, so not tried: the stored API key still works")
    session = _login(inputs, name)
    return Proof(inputs.argocd.account(name, session), session, "Argo CD accepts the password")


def _login(inputs: Inputs, name: str) -> str:
    """Log in once; the session ends with the run. Raises what the login does, or the refusal that is on record."""
    login = Login(inputs.settings.server.url, name, inputs.secret)
    for record in (*inputs.records, *refused_logins.read()):
        why = lockout.block(record, login, inputs.argocd.now(), inputs.check.timing, hook=False)
        if why:
            raise lockout.refused(login, why)
    try:
        session = inputs.argocd.login(name, inputs.secret, again_in_doubt=False)
    except (LoginRefusedError, LoginUnansweredError) as e:
        if e.sends:
            verdict: Verdict = "refused" if isinstance(e, LoginRefusedError) else "unclear"
            refused_logins.note(lockout.record_of(login, inputs.argocd.now(), e.sends, verdict))
        raise hinted(e, inputs.settings.auth, inputs.secret) from None
    inputs.check.stack.callback(inputs.argocd.end, session)
    return session
