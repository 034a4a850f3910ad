"""What an account needs, what it lacks, and how to give it that: pure decisions and texts."""

import json

from gitops_runtime_auth.argocd.client import Account
from gitops_runtime_auth.config.settings import Settings
from gitops_runtime_auth.errors import AuthError, KeyRefusedError, PrivilegeError

NEEDED = {"password": ("apiKey", "login"), "token": ("apiKey",)}
"""Capabilities by auth type: who brings a password must be able to log in; a robot with a key need not."""

CAPABILITIES = ("apiKey", "login")


def lacking(account: Account, auth_type: str) -> tuple[str, ...]:
    """Return the capabilities that ``account`` lacks for ``auth_type``."""
    return tuple(c for c in NEEDED[auth_type] if c not in account.capabilities)


def require(account: Account, settings: Settings, argocd_namespace: str) -> None:
    """Raise PrivilegeError, with both remedies filled in, unless ``account`` has what it needs."""
    if not account.enabled:
        raise disabled(account.name, argocd_namespace)
    missing = lacking(account, settings.auth.type)
    if missing:
        raise lacks(account.name, missing, account.capabilities, argocd_namespace)


def lacks(name: str, missing: tuple[str, ...], has: frozenset[str], argocd_namespace: str) -> PrivilegeError:
    """Return the error for an account without ``missing`` capabilities."""
    wanted = ", ".join(c for c in CAPABILITIES if c in has or c in missing)
    itself = "; or let this chart do it: --set hook.enableApiKey=true" if missing == ("apiKey",) else ""
    return PrivilegeError(
        f"Argo CD account {name} lacks the {' and '.join(missing)} capability.",
        f"Run {_patch(argocd_namespace, f'accounts.{name}', wanted)} or, with Argo CD's Helm chart, set"
        f" configs.cm.{_helm(f'accounts.{name}')}: {wanted}{itself}.",
    )


def disabled(name: str, argocd_namespace: str) -> PrivilegeError:
    """Return the error for a disabled account. ``admin`` has a switch of its own (``admin.enabled``)."""
    key = "admin.enabled" if name == "admin" else f"accounts.{name}.enabled"
    return PrivilegeError(
        f"Argo CD account {name} is disabled.",
        f"Run {_patch(argocd_namespace, key, 'true')} or, with Argo CD's Helm chart, set"
        f' configs.cm.{_helm(key)}: "true".',
    )


def explained(error: KeyRefusedError, name: str, argocd_namespace: str) -> AuthError:
    """Return the error with its remedy when Argo CD's reason is a missing privilege, else ``error`` itself."""
    if "disabled" in error.reason:
        return disabled(name, argocd_namespace)
    for capability in CAPABILITIES:
        if f"no {capability} capability" in error.reason:
            others = frozenset(CAPABILITIES) - {capability}
            return lacks(name, (capability,), others if capability == "login" else frozenset(), argocd_namespace)
    return error


def no_role(name: str, argocd_namespace: str) -> str:
    """Return the warning for an account that no RBAC policy lets do anything."""
    policy = f"g, {name}, role:admin"
    patch = json.dumps({"data": {"policy.csv": policy}})
    return (
        f"Argo CD account {name} may not see applications: it has no RBAC role. To give it one, add the line"
        f" '{policy}' to policy.csv in ConfigMap argocd-rbac-cm (kubectl -n {argocd_namespace} patch configmap"
        f" argocd-rbac-cm --type merge -p '{patch}'; Argo CD's Helm chart: configs.rbac.policy\\.csv)."
    )


def _patch(namespace: str, key: str, value: str) -> str:
    patch = json.dumps({"data": {key: value}})
    return f"kubectl -n {namespace} patch configmap argocd-cm --type merge -p '{patch}'"


def _helm(key: str) -> str:
    """Return ``key`` of ``configs.cm`` as it stands in a values file, where dots in a key mean nothing."""
    return f'"{key}"'
