"""``ensure``, the hook before install, upgrade and rollback: checks the account, issues a key, writes the Secret."""

import time
from collections.abc import Mapping

from gitops_runtime_auth import context, log
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    AuthError,
    ConfigurationError,
    ConflictError,
    PrivilegeError,
    TemporaryError,
    WrongServerError,
)
from gitops_runtime_auth.keys import issue, privileges, record, remedies, revoke, user_token, working
from gitops_runtime_auth.keys.lockout import Login
from gitops_runtime_auth.keys.managers import CONFIG
from gitops_runtime_auth.keys.session import session_of_hook
from gitops_runtime_auth.keys.working import WorkingKey
from gitops_runtime_auth.kube import secret
from gitops_runtime_auth.kube.api import configmap_path
from gitops_runtime_auth.timing import Timing


def run(environ: Mapping[str, str], timing: Timing, *, before_rollback: bool = False) -> int:
    """Run the hook in a Pod of the chart. Raises every error of ``errors``, after an Event about it.

    Before a rollback a failure is only a warning, because helm would leave the release in ``pending-rollback``, which
    blocks every later upgrade.
    """
    try:
        with context.from_environment(environ, timing) as this:
            _run(this)
    except Exception as e:
        if not before_rollback:
            raise
        # The text of an unexpected error may contain a credential.
        problem = str(e) if isinstance(e, AuthError) else f"Unexpected internal error ({type(e).__name__})."
        remedy = e.remedy if isinstance(e, AuthError) else ""
        log.warning(f"{problem} The rollback continues all the same. {remedy}".strip())
    return 0


def _run(this: Context) -> None:
    try:
        log.info(ensure(this))
    except AuthError as e:
        this.emit("Warning", "AuthenticationFailed", f"{e.problem} {e.remedy}")
        raise


def ensure(run: Context) -> str:
    """Make sure that the Runtime has a key that works, and return one sentence that says what was done."""
    _warn_of_insecure_connection(run)
    run.await_connection()
    _reach(run)
    if run.settings.auth.type == "token":
        run.await_credential()
        token = user_token.check(run)
        _warn_without_role(run, token.account.name, run.credential())
        return f"The API key {token.claims.key_id} of account {token.account.name} works; nothing was changed."
    found = _keep(run) or _log_in_and_issue(run)
    if not found.created:
        return f"The API key {found.key.key_id} of account {found.key.account} still works; nothing was changed."
    _warn_without_role(run, found.key.account, found.key.token)
    message = (
        f"Created the API key {found.key.key_id} of account {found.key.account} and stored it in Secret"
        f' "{run.settings.key_secret.name}".'
    )
    run.emit("Normal", "ApiKeyCreated", message)
    return message


def _warn_of_insecure_connection(run: Context) -> None:
    server, consequence = run.settings.server, "so that anybody on the network path can read the credential"
    if server.url.startswith("http://"):
        log.warning(f"The connection to {server.url} is not encrypted, {consequence}.")
    elif server.insecure_skip_verify:
        log.warning(f"The certificate of {server.url} is not verified (insecureSkipVerify), {consequence}.")


def _reach(run: Context) -> None:
    """Make sure that Argo CD answers, before a credential is sent. Wait for a CA certificate that does not exist."""
    try:
        run.argocd.version()
    except WrongServerError:
        if not run.await_ca():
            raise
        run.argocd.version()


def _keep(run: Context) -> WorkingKey | None:
    """Return a stored key that works, the one in use or a replaced one, so that no login is needed."""
    stored = secret.mounted(run.files / "key", run.settings.key_secret)
    found = working.find(run, stored, of_installation=False)
    if stored.current is None and run.settings.key_secret.former_names:  # this upgrade renames the Secret
        found = working.find(run, run.key_secret.read())
    if found and not found.is_current:  # this is a rollback: Pods may still use the key of the upgrade
        found = working.find(run, run.key_secret.read())
        found = working.adopt(run, found) if found and not found.is_current else found
    if found is None:
        return None
    found = working.tidy(run, found)
    account = _privileged(run, found.account, found.key.token)
    revoke.revoke_leftovers(run, found.key, account)
    return found


def _log_in_and_issue(run: Context) -> WorkingKey:
    run.await_credential()
    login = Login(run.settings.server.url, run.settings.auth.username, run.credential())
    record.require_unrecorded(run.files, login, run.argocd.now(), run.timing, hook=True)
    with session_of_hook(run, login) as (token, stored):
        account = issue.account_of_session(run, login.account, token)
        return issue.issue_by_session(run, token, stored, _privileged(run, account, token))


def _privileged(run: Context, account: Account, bearer: str) -> Account:
    """Return the account if it has its privileges. With ``hook.enableApiKey`` a missing ``apiKey`` is added.

    Raises PrivilegeError with the remedy.
    """
    if run.settings.enable_api_key and account.enabled and "apiKey" not in account.capabilities:
        account = _enable_api_key(run, account, bearer)
    privileges.require(run, account)
    return account


def _enable_api_key(run: Context, account: Account, bearer: str) -> Account:
    """Add the capability to ``argocd-cm``, and make sure that it stays there.

    Raises PrivilegeError with the remedy, before anything is changed, if somebody manages the ConfigMap.
    """
    namespace, key = run.settings.server.namespace, f"accounts.{account.name}"
    manager = privileges.manager(run)
    if manager.takes_changes_back:
        raise PrivilegeError(
            f"hook.enableApiKey does not change ConfigMap argocd-cm in namespace {namespace}: {manager} manages it.",
            remedies.remedy(manager, account.name, ("apiKey",), account.capabilities),
        )
    wanted = ",".join(c for c in privileges.CAPABILITIES if c in account.capabilities or c == "apiKey")
    try:
        run.cluster.patch(configmap_path(namespace, CONFIG), {"data": {key: wanted}})
    except ConflictError:
        raise ConfigurationError(
            f"There is no ConfigMap argocd-cm in namespace {namespace}.",
            "Set hook.argocdNamespace to the namespace that Argo CD runs in.",
        ) from None
    log.info(f"Added {key}: {wanted} to ConfigMap argocd-cm in namespace {namespace}.")
    _await_capability(run, account.name, bearer, key)
    time.sleep(run.timing.capability_lasts)
    # This reads the ConfigMap, because a replica of argocd-server may not know the capability yet.
    left = (run.cluster.get(configmap_path(namespace, CONFIG)) or {}).get("data") or {}
    if "apiKey" not in str(left.get(key)):
        raise PrivilegeError(
            f"Somebody took {key} out of ConfigMap argocd-cm in namespace {namespace} again, right after it was added.",
            "Add it where that ConfigMap is managed (an operator, GitOps, Argo CD's Helm chart): gitops-runtime-auth"
            " check names the manager and the command.",
        )
    return _await_capability(run, account.name, bearer, key)


def _await_capability(run: Context, name: str, bearer: str, key: str) -> Account:
    patience = run.deadline.at_most(run.timing.capability_shows)
    while "apiKey" not in (account := run.argocd.account(name, bearer)).capabilities:
        if not patience.left():
            raise TemporaryError(
                f"Argo CD does not show {key} yet, {run.timing.capability_shows:.0f} s after apiKey was added to"
                f" ConfigMap argocd-cm in namespace {run.settings.server.namespace}.",
                "Check hook.argocdNamespace, and that nothing (GitOps) removes the entry, then try again.",
            )
        time.sleep(min(run.timing.first_retry, patience.left()))
    return account


def _warn_without_role(run: Context, name: str, bearer: str) -> None:
    """Warn if the account has no RBAC role. A failure is only logged, because the key works already."""
    try:
        allowed = run.argocd.may_see_applications(bearer)
    except AuthError as e:
        log.warning(f"Whether account {name} may see applications could not be asked: {e}")
        return
    if not allowed:
        log.warning(privileges.no_role(run, name))
