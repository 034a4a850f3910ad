"""What an account needs, what it lacks, and how to give it that."""

import json

from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.config.settings import AuthType, Settings
from gitops_runtime_auth.errors import AuthError, KeyRefusedError, PrivilegeError, Refusal

NEEDED: dict[AuthType, tuple[str, ...]] = {"password": ("apiKey", "login"), "token": ("apiKey",)}
"""Capabilities by auth type: whoever brings a password must be able to log in; a robot with a key need not."""

CAPABILITIES = ("apiKey", "login")

_LACKING = {Refusal.NO_API_KEY_CAPABILITY: "apiKey", Refusal.NO_LOGIN_CAPABILITY: "login"}


def lacking(account: Account, auth_type: AuthType) -> tuple[str, ...]:
    """Return the capabilities that ``account`` lacks for ``auth_type``."""
    return tuple(c for c in NEEDED[auth_type] if c not in account.capabilities)


def require(account: Account, settings: Settings) -> None:
    """Raise PrivilegeError, with the remedy filled in, unless ``account`` has what it needs."""
    if not account.enabled:
        raise disabled(account.name, settings.server.namespace)
    missing = lacking(account, settings.auth.type)
    if missing:
        raise lacks(account.name, missing, account.capabilities, settings.server.namespace)


def lacks(name: str, missing: tuple[str, ...], has: frozenset[str], namespace: str) -> PrivilegeError:
    """Return the error for an account without ``missing`` capabilities."""
    wanted = ",".join(c for c in CAPABILITIES if c in has or c in missing)
    itself = "; or let this chart do it: --set hook.enableApiKey=true" if missing == ("apiKey",) else ""
    return PrivilegeError(
        f"Argo CD account {name} lacks the {' and '.join(missing)} capability.",
        f"Run {_patch(namespace, {f'accounts.{name}': wanted})} or, with Argo CD's Helm chart, set"
        f' configs.cm."accounts.{name}": {wanted}{itself}.',
    )


def disabled(name: str, namespace: str) -> PrivilegeError:
    """Return the error for a disabled account.

    ``admin`` has two switches, and ``accounts.admin.enabled`` overrides ``admin.enabled``
    (``util/settings/accounts.go``), so both are named.
    """
    keys = [f"accounts.{name}.enabled", *(["admin.enabled"] if name == "admin" else [])]
    values = " and ".join(f'configs.cm."{key}": "true"' for key in keys)
    own = " If admin was switched off on purpose, use an account of its own instead." if name == "admin" else ""
    return PrivilegeError(
        f"Argo CD account {name} is disabled.",
        f"Run {_patch(namespace, dict.fromkeys(keys, 'true'))} or, with Argo CD's Helm chart, set {values}.{own}",
    )


def missing_account(name: str, namespace: str) -> PrivilegeError:
    """Return the error for an account that is not in ``argocd-cm`` (any more); its keys work again once it is."""
    return PrivilegeError(
        f"Argo CD has no account {name} (any more).",
        f"Add it: {_patch(namespace, {f'accounts.{name}': 'apiKey,login'})} or, with Argo CD's Helm chart, set"
        f' configs.cm."accounts.{name}": apiKey,login.',
    )


def explained(error: KeyRefusedError, name: str, settings: Settings) -> AuthError:
    """Return the error with its remedy when Argo CD's reason is a missing privilege, else ``error`` itself."""
    namespace = settings.server.namespace
    if error.refusal is Refusal.ACCOUNT_DISABLED:
        return disabled(name, namespace)
    if error.refusal is Refusal.ACCOUNT_MISSING:
        return missing_account(name, namespace)
    if error.refusal in _LACKING:
        capability = _LACKING[error.refusal]
        others = frozenset(CAPABILITIES) - {capability}
        return lacks(name, (capability,), others if capability == "login" else frozenset(), namespace)
    return error


def no_role(name: str, namespace: str, release: str) -> str:
    """Return the warning for an account that may not see all applications.

    The command adds a policy of its own name: Argo CD puts every ``policy.*.csv`` of the ConfigMap together
    (``util/rbac/rbac.go``, ``PolicyCSV``), so nobody's ``policy.csv`` is replaced.
    """
    policy = f"p, {name}, applications, get, */*, allow"
    patch = json.dumps({"data": {f"policy.{release}.csv": policy}})
    return (
        f"Argo CD account {name} may not see all applications. If the Runtime is to see them all, add a policy: kubectl"
        f" -n {namespace} patch configmap argocd-rbac-cm --type merge -p '{patch}' (more rights, such as sync, are"
        " further lines; role:admin is all of them)."
    )


def _patch(namespace: str, data: dict[str, str]) -> str:
    return f"kubectl -n {namespace} patch configmap argocd-cm --type merge -p '{json.dumps({'data': data})}'"
