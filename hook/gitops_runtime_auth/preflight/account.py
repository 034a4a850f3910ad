"""What Argo CD says about the account: at most one login, whose session is ended, and no password that was refused."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import Account, ArgoCD
from gitops_runtime_auth.config.settings import Settings
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    AuthError,
    ConfigurationError,
    KeyRefusedError,
    LoginRefusedError,
    PrivilegeError,
    Refusal,
)
from gitops_runtime_auth.keys import given, lockout, privileges, remedies
from gitops_runtime_auth.keys.lockout import Login, Record
from gitops_runtime_auth.keys.managers import Manager
from gitops_runtime_auth.kube.stored import StoredKey
from gitops_runtime_auth.preflight.laptop import Laptop
from gitops_runtime_auth.preflight.report import Report, StopError
from gitops_runtime_auth.release import Release

ROW = {"password": "Login", "token": "Token"}
"""Name of the row on the credential, by auth type."""

_LOCAL_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""What an account can be called: ``accounts.NAME`` is a key of a ConfigMap that Argo CD splits at its dots
(``util/settings/accounts.go``), and longer names are refused at login (``util/session/sessionmanager.go``)."""
_INITIAL = "argocd-initial-admin-secret"
_LACKING = {Refusal.NO_API_KEY_CAPABILITY: "apiKey", Refusal.NO_LOGIN_CAPABILITY: "login"}


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


def look(question: Question, report: Report) -> None:
    """Fill the rows on the credential and the account. Raises StopError when there is nothing more to ask."""
    settings = question.settings
    row = ROW[settings.auth.type]
    with report.step(row):
        try:
            account, bearer, how = _of_token(question) if settings.auth.type == "token" else _of_password(question)
        except KeyRefusedError as e:
            name = _name(question)
            if e.refusal not in (*_LACKING, Refusal.ACCOUNT_DISABLED, Refusal.ACCOUNT_MISSING):
                raise
            _refused_for_a_privilege(question, report, name, e.refusal)
            raise StopError from None
    report.ok(row, how)
    _privileges(question, report, account)
    ours = sum(key.id.startswith("gra.") for key in account.keys)
    report.ok("API keys", f"{len(account.keys)} now, {ours} of them made by releases of this chart")
    _role(question, report, account.name, bearer)


def require_local_name(name: str) -> None:
    """Raise ConfigurationError for a name that no local account can have: then nothing needs to be sent to know it."""
    if not _LOCAL_NAME.fullmatch(name):
        raise ConfigurationError(
            f"Argo CD can have no local account called {name}.",
            "Name a local account: letters, digits, - and _ only, 32 at most. People who log in by SSO have none, so make"
            " one for the Runtime (argocd-cm: accounts.NAME: apiKey,login).",
        )


def _name(question: Question) -> str:
    claims = tokens.read(question.secret) if question.settings.auth.type == "token" else None
    return claims.account if claims else question.settings.auth.username


def _of_token(question: Question) -> tuple[Account, str, str]:
    claims = given.read(_as_hook(question), question.secret)
    name = claims.account
    try:
        account = question.argocd.account(name, question.secret)
    except KeyRefusedError as e:
        if e.refusal in (*_LACKING, Refusal.ACCOUNT_DISABLED, Refusal.ACCOUNT_MISSING):
            raise
        raise _replaced(question, name, e) from None
    until = f" until {datetime.fromtimestamp(claims.expires_at, UTC):%Y-%m-%d %H:%M} UTC" if claims.expires_at else ""
    return account, question.secret, f"an API key, and Argo CD accepts it{until or '; it does not expire'}"


def _as_hook(question: Question) -> Context:
    """Return what the hook would run with, for the judgement that it shares with check."""
    release = Release(question.laptop.options.release, question.laptop.namespace)
    return Context(
        question.settings,
        release,
        question.laptop.deadline,
        question.laptop.timing,
        connect_argocd=lambda *_: question.argocd,
    )


def _of_password(question: Question) -> tuple[Account, str, str]:
    name, stored = question.settings.auth.username, question.stored
    if stored is not None and (stored.account, stored.url) == (name, question.settings.server.url) and stored.key_id:
        try:
            account = question.argocd.account(name, stored.token)
        except KeyRefusedError as e:
            if e.refusal in (Refusal.ACCOUNT_DISABLED, Refusal.ACCOUNT_MISSING, Refusal.NO_API_KEY_CAPABILITY):
                raise
        else:
            return account, stored.token, "not needed, so not tried: the stored API key still works"
    session = _login(question, name)
    return question.argocd.account(name, session), session, "Argo CD accepts the password"


def _login(question: Question, name: str) -> str:
    """Log in once, with a session that ends with the run. Raises what the login does, or what the records say."""
    login = Login(question.settings.server.url, name, question.secret)
    for record in question.records:
        why = lockout.block(record, login, question.argocd.now(), question.laptop.timing, hook=False)
        if why:
            raise lockout.refused(login, why)
    try:
        session = question.argocd.login(name, question.secret, again_in_doubt=False)
    except LoginRefusedError as e:
        raise _hinted(e, question) from None
    question.laptop.stack.callback(_end, question.argocd, session)
    return session


def _end(argocd: ArgoCD, session: str) -> None:
    """End the session. One that can't be ended ends by itself within a day, which is no reason to fail."""
    try:
        argocd.logout(session)
    except AuthError:
        return


def _hinted(error: LoginRefusedError, question: Question) -> LoginRefusedError:
    """Add what is known about the password's place: Argo CD's own Secret keeps the first password for ever."""
    auth = question.settings.auth
    if auth.inline or auth.credential.name != _INITIAL:
        return error
    problem = f'{error.problem} Secret "{_INITIAL}" holds the password that Argo CD began with: it stays as it is when'
    return LoginRefusedError(f"{problem} the password is changed.", error.remedy, sends=error.sends)


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


def _refused_for_a_privilege(question: Question, report: Report, name: str, why: Refusal) -> None:
    """Report a refusal that only a right credential is told: it belongs in the row of the privilege."""
    manager = question.manager
    report.ok(ROW[question.settings.auth.type], "the credential is right")
    if why is Refusal.ACCOUNT_MISSING:
        needed = privileges.NEEDED[question.settings.auth.type]
        problem = f"Argo CD has no account {name} any more; its keys would work again if it came back."
        report.fail("Account", PrivilegeError(problem, remedies.making(manager, name, needed)))
        return
    report.ok("Account", f"{name} exists")
    if why is Refusal.ACCOUNT_DISABLED:
        report.fail("Enabled", _disabled(manager, name))
    else:
        # An account that may log in but not use keys, or the other way round: what else it has is in argocd-cm.
        capability = _LACKING[why]
        known = (manager.settings or {}).get(f"accounts.{name}", "login" if capability == "apiKey" else "apiKey")
        has = {part.strip() for part in known.split(",")}
        report.fail(capability, _lacks(question, name, (capability,), has))


def _privileges(question: Question, report: Report, account: Account) -> None:
    settings, name = question.settings, account.name
    report.ok("Account", f"{name} exists")
    if account.enabled:
        report.ok("Enabled", "yes")
    else:
        report.fail("Enabled", _disabled(question.manager, name))
    missing = privileges.lacking(account, settings.auth.type)
    for capability in sorted(privileges.NEEDED[settings.auth.type], reverse=True):
        if capability not in missing:
            report.ok(capability, "yes")
        elif capability == "apiKey" and settings.enable_api_key and not question.manager.takes_changes_back:
            report.warn(capability, "lacking; the hook will add it (hook.enableApiKey)")
        else:
            report.fail(capability, _lacks(question, name, missing, account.capabilities))


def _lacks(question: Question, name: str, missing: tuple[str, ...], has: "frozenset[str] | set[str]") -> PrivilegeError:
    refused = ""
    if question.settings.enable_api_key and question.manager.takes_changes_back:
        refused = f" hook.enableApiKey can't add it, because {question.manager} would take it back."
    return PrivilegeError(
        f"Argo CD account {name} lacks the {' and '.join(missing)} capability.{refused}",
        remedies.remedy(question.manager, name, missing, has),
    )


def _disabled(manager: Manager, name: str) -> PrivilegeError:
    return PrivilegeError(f"Argo CD account {name} is disabled.", remedies.enabling(manager, name))


def _role(question: Question, report: Report, name: str, bearer: str) -> None:
    with report.step("RBAC role"):
        if question.argocd.may_see_applications(bearer):
            report.ok("RBAC role", f"{name} may see all applications")
        else:
            problem = f"{name} may not see all applications, which is right if the Runtime is to see some only"
            report.warn("RBAC role", problem, remedies.granting(question.manager, name))
