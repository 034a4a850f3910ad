"""Checks the privileges of an account, and explains how to add those that it lacks at this Argo CD."""

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.config.settings import AuthType
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, KeyRefusedError, PrivilegeError, Refusal
from gitops_runtime_auth.keys import remedies
from gitops_runtime_auth.keys.managers import CONFIG, Manager, manager_of
from gitops_runtime_auth.kube.api import configmap_path

NEEDED: dict[AuthType, tuple[str, ...]] = {"password": ("apiKey", "login"), "token": ("apiKey",)}
"""Capabilities by auth type. With a token nobody logs in, so the account does not need ``login``."""

CAPABILITIES = ("apiKey", "login")

_LACKING = {Refusal.NO_API_KEY_CAPABILITY: "apiKey", Refusal.NO_LOGIN_CAPABILITY: "login"}


def lacking(account: Account, auth_type: AuthType) -> tuple[str, ...]:
    """Return the capabilities that ``account`` lacks for ``auth_type``."""
    return tuple(c for c in NEEDED[auth_type] if c not in account.capabilities)


def require(run: Context, account: Account) -> None:
    """Raise PrivilegeError, with the remedy filled in, unless ``account`` has what it needs."""
    if not account.enabled:
        raise _disabled(run, account.name)
    missing = lacking(account, run.settings.auth.type)
    if missing:
        raise lacks(run, account.name, missing, account.capabilities)


def lacks(run: Context, name: str, missing: tuple[str, ...], has: frozenset[str] | None = None) -> PrivilegeError:
    """Return the error for an account without the ``missing`` capabilities. ``has`` is None if the rest is unknown."""
    who = manager(run)
    return PrivilegeError(
        f"Argo CD account {name} lacks the {' and '.join(missing)} capability.",
        remedies.remedy(who, name, missing, others(who, name, missing[0]) if has is None else has),
    )


def others(manager: Manager, name: str, lacking: str) -> frozenset[str]:
    """Return what an account has beside the ``lacking`` capability, of which alone Argo CD's refusal speaks.

    ``argocd-cm`` says it. If it was not read, or does not say it, the account counts as having the other one, so that
    the remedy does not take that away.
    """
    [other] = set(CAPABILITIES) - {lacking}
    listed = (manager.settings or {}).get(f"accounts.{name}", other)
    return frozenset(part.strip() for part in listed.split(","))


def explained(run: Context, error: KeyRefusedError, name: str) -> AuthError:
    """Return an error with the remedy if Argo CD's reason is a missing privilege, else ``error`` itself."""
    match error.refusal:
        case Refusal.ACCOUNT_DISABLED:
            return _disabled(run, name)
        case Refusal.ACCOUNT_MISSING:
            return PrivilegeError(
                f"Argo CD has no account {name} (any more); its keys work again if it is added again.",
                remedies.making(manager(run), name, NEEDED[run.settings.auth.type]),
            )
        case Refusal.NO_API_KEY_CAPABILITY | Refusal.NO_LOGIN_CAPABILITY:
            return lacks(run, name, (_LACKING[error.refusal],))
    return error


def no_role(run: Context, name: str) -> str:
    """Return the warning for an account that may not see all applications."""
    return f"Argo CD account {name} may not see all applications. {remedies.granting(manager(run), name)}"


def manager(run: Context) -> Manager:
    """Return who manages Argo CD's ConfigMap, if this run may read it.

    The hook may read it if the release's namespace is Argo CD's, and with ``hook.enableApiKey``.
    """
    namespace = run.settings.server.namespace
    if namespace != run.release.namespace and not run.settings.enable_api_key:
        return manager_of(None, namespace)
    try:
        return manager_of(run.cluster.get(configmap_path(namespace, CONFIG)), namespace)
    except AuthError as e:
        log.debug(f"Who manages ConfigMap {CONFIG} of namespace {namespace} is not known: {e}")
        return manager_of(None, namespace)


def _disabled(run: Context, name: str) -> PrivilegeError:
    return PrivilegeError(f"Argo CD account {name} is disabled.", remedies.enabling(manager(run), name))
