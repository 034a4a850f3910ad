"""``ensure``, the pre-install and pre-upgrade hook: check the account, obtain a key, write the Secret."""

import time

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.argocd.token import Claims, read
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    AuthError,
    ConfigurationError,
    ConflictError,
    KeyRefusedError,
    LoginRefusedError,
    TemporaryError,
)
from gitops_runtime_auth.keys import issue as keys
from gitops_runtime_auth.keys import privileges
from gitops_runtime_auth.kube import events
from gitops_runtime_auth.kube import secret as store

_SHOWS_WITHIN = 30.0
"""Seconds in which Argo CD must show a capability added to argocd-cm (0.3 s measured; a ConfigMap informer)."""


def ensure(context: Context) -> str:
    """Run the hook and return one sentence that says what it came to. Raises every error of ``errors``."""
    server = context.settings.server
    if server.insecure_skip_verify:
        log.warning(
            f"The certificate of {server.url} is not verified (global.external-arg-cd.server.insecureSkipVerify):"
            " whoever is in between can read the credential."
        )
    if context.settings.auth.type == "token":
        return _check_token(context)
    try:
        outcome = keys.ensure_key(
            context, store.mounted(context.files / "key"), context.credential, lambda a, b: approve(context, a, b)
        )
    except LoginRefusedError as e:
        raise _hinted(e, context) from None
    key_id, name = outcome.entry.key_id(), outcome.account.name
    if not outcome.created:
        return f"The API key {key_id} of account {name} still works; nothing was changed."
    _warn_without_role(context, name, outcome.entry.token)
    message = f'Created the API key {key_id} of account {name} and stored it in Secret "{store.NAME}".'
    events.emit(context, "Normal", "ApiKeyCreated", message)
    return message


def approve(context: Context, account: Account, bearer: str) -> Account:
    """Check the account's privileges; with ``hook.enableApiKey`` add ``apiKey`` where only it is missing.

    Raises PrivilegeError with both remedies.
    """
    settings = context.settings
    if settings.enable_api_key and account.enabled and "apiKey" not in account.capabilities:
        account = _enable_api_key(context, account, bearer)
    privileges.require(account, settings, context.argocd_namespace)
    return account


def _enable_api_key(context: Context, account: Account, bearer: str) -> Account:
    namespace, key = context.argocd_namespace, f"accounts.{account.name}"
    wanted = ", ".join(c for c in privileges.CAPABILITIES if c in account.capabilities or c == "apiKey")
    path = f"/api/v1/namespaces/{namespace}/configmaps/argocd-cm"
    try:
        context.cluster.patch(path, {"data": {key: wanted}})
    except ConflictError:
        raise ConfigurationError(
            f"There is no ConfigMap argocd-cm in namespace {namespace}.",
            "Set hook.argocdNamespace to the namespace that Argo CD runs in.",
        ) from None
    log.info(f"Added {key}: {wanted} to ConfigMap argocd-cm in namespace {namespace}.")
    until = time.monotonic() + min(_SHOWS_WITHIN, context.deadline.left())
    while time.monotonic() < until:
        account = context.argocd.account(account.name, bearer)
        if "apiKey" in account.capabilities:
            return account
        time.sleep(0.2)
    raise TemporaryError(
        f"Argo CD does not show {key}: {wanted} yet, {_SHOWS_WITHIN:.0f} s after it was added to ConfigMap argocd-cm"
        f" in namespace {namespace}.",
        "Check hook.argocdNamespace and that nothing (GitOps) takes the entry out again, then try again.",
    )


def _check_token(context: Context) -> str:
    token = context.credential()
    claims = read_api_key(token, context.settings.auth.origin())
    try:
        account = context.argocd.account(claims.account, token)
    except KeyRefusedError as e:
        raise refused_token(context, claims, e) from None
    privileges.require(account, context.settings, context.argocd_namespace)
    _warn_without_role(context, account.name, token)
    return f"The API key {claims.key_id} of account {account.name} works; nothing was changed."


def refused_token(context: Context, claims: Claims, error: KeyRefusedError) -> AuthError:
    """Return the error for a user's token that Argo CD does not accept, with the commands that replace it."""
    origin, ref, namespace = context.settings.auth.origin(), context.settings.auth.ref, context.owner.namespace
    explained = privileges.explained(error, claims.account, context.argocd_namespace)
    if explained is not error:
        return explained
    name, key = (ref.name, ref.key) if ref else ("", "token")
    return KeyRefusedError(
        f"Argo CD at {context.settings.server.url} refuses the API key of account {claims.account} from {origin}:"
        f" {error.reason}.",
        f"Replace it: TOKEN=$(argocd account generate-token --account {claims.account}) and kubectl -n {namespace}"
        f" create secret generic {name} --from-literal={key}=$TOKEN --dry-run=client -o yaml | kubectl apply -f -"
        + (" (or set it in your values)." if "auth.token" in origin else "."),
        reason=error.reason,
    )


def read_api_key(token: str, origin: str) -> Claims:
    """Return the claims of a user's token. Raises ConfigurationError unless it is a non-expiring Argo CD API key."""
    claims = read(token)
    fresh = "Make one with argocd account generate-token --account NAME (without --expires-in) and use that."
    if claims is None:
        raise ConfigurationError(f"The token from {origin} is not an Argo CD token (no JWT).", fresh)
    if claims.issuer != "argocd" or not claims.account:
        raise ConfigurationError(f"The token from {origin} was not issued by Argo CD.", fresh)
    if claims.capability == "login":
        raise ConfigurationError(
            f"The token from {origin} is a login session of account {claims.account}, which ends within a day.", fresh
        )
    if claims.capability != "apiKey":
        raise ConfigurationError(f"The token from {origin} is not an account's API key.", fresh)
    if claims.expires_at:
        raise ConfigurationError(f"The API key of account {claims.account} from {origin} expires.", fresh)
    if claims.not_before > time.time() + 60:
        raise ConfigurationError(f"The API key of account {claims.account} from {origin} is not valid yet.", fresh)
    return claims


def _hinted(error: LoginRefusedError, context: Context) -> LoginRefusedError:
    """A newline at the end is what ``echo pw | kubectl create secret --from-file`` leaves."""
    if context.credential().endswith(("\n", "\r")):
        return LoginRefusedError(
            f"{error.problem[:-1]}; the password from {context.settings.auth.origin()} ends with a newline.",
            error.remedy,
        )
    return error


def _warn_without_role(context: Context, name: str, bearer: str) -> None:
    """The key is made and stored by now: a question that only leads to a warning must not fail the install."""
    try:
        allowed = context.argocd.may_see_applications(bearer)
    except AuthError as e:
        log.warning(f"Whether account {name} has an RBAC role could not be asked: {e}")
        return
    if not allowed:
        log.warning(privileges.no_role(name, context.argocd_namespace))
