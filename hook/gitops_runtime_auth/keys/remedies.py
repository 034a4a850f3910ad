"""Explains how to change Argo CD's settings so that the change lasts, in commands that can be pasted.

Every remedy adds something; none replaces what somebody else has set. A command is the last part of a remedy.
"""

import json
import shlex
from collections.abc import Collection, Mapping
from typing import Any

from gitops_runtime_auth.keys.managers import CONFIG, Kind, Manager

RBAC = "argocd-rbac-cm"
_CAPABILITIES = ("apiKey", "login")
_ARGO_HELM = "https://argoproj.github.io/argo-helm"
"""Repository of the Argo project's chart ``argo-cd``, according to that chart's README."""


def remedy(manager: Manager, account: str, missing: Collection[str], has: Collection[str]) -> str:
    """Return how to add the ``missing`` capabilities to those that ``account`` ``has``.

    They are written as Argo CD itself does when it saves an account: ``apiKey,login``, without a blank.
    """
    wanted = ",".join(c for c in _CAPABILITIES if c in has or c in missing)
    itself = ""
    if set(missing) == {"apiKey"} and not manager.takes_changes_back:
        itself = "Let this chart do it (--set hook.enableApiKey=true), or do it yourself. "
    return itself + lasting_change(manager, {f"accounts.{account}": wanted})


def enabling(manager: Manager, account: str) -> str:
    """Return how to enable a disabled ``account``.

    ``admin`` has two switches, ``admin.enabled`` and ``accounts.admin.enabled``; the second overrides the first
    (``util/settings/accounts.go``). The remedy sets the one that decides, or both if the ConfigMap could not be read.
    """
    own = f"accounts.{account}.enabled"
    if account != "admin":
        return lasting_change(manager, {own: "true"})
    switches = [own] if own in (manager.settings or {}) else ["admin.enabled"]
    if manager.settings is None:
        switches = ["admin.enabled", own]
    return (
        "If admin was switched off on purpose, use an account of its own (argocd-cm: accounts.NAME: apiKey,login; its"
        " password: argocd account update-password --account NAME). Otherwise enable admin again."
        f" {lasting_change(manager, dict.fromkeys(switches, 'true'))}"
    )


def making(manager: Manager, account: str, capabilities: Collection[str]) -> str:
    """Return how to make an ``account`` that does not exist."""
    wanted = ",".join(c for c in _CAPABILITIES if c in capabilities)
    password = f" and set its password (argocd account update-password --account {shlex.quote(account)})"
    return (
        f"Correct the account's name, or make the account{password if 'login' in wanted else ''}."
        f" {lasting_change(manager, {f'accounts.{account}': wanted})}"
    )


def granting(manager: Manager, account: str) -> str:
    """Return how to let ``account`` see all applications, with a separate policy beside all others.

    Argo CD reads ``policy.csv`` and then every further ``policy.*.csv`` of ``argocd-rbac-cm`` (``util/rbac/rbac.go``,
    2.14 included). The operator writes only its own keys, so that a further key lasts there.
    """
    data = {f"policy.gitops-runtime-auth-{account}.csv": f"g, {account}, role:readonly"}
    by_hand = Manager(Kind.NOBODY, manager.namespace) if manager.kind is Kind.OPERATOR else manager
    change = lasting_change(by_hand, data, RBAC)
    return f"Give it a role (role:readonly may read, role:admin may do everything). {change}"


def lasting_change(manager: Manager, data: Mapping[str, str], configmap: str = CONFIG) -> str:
    """Return how to set the keys of ``data`` in ``argocd-cm`` or ``argocd-rbac-cm``, so that it lasts."""
    lines = " and ".join(f"{key}: {json.dumps(value)}" for key, value in data.items())
    values = "configs.cm" if configmap == CONFIG else "configs.rbac"
    match manager.kind:
        case Kind.NOBODY:
            return f"Run: {_patch(manager.namespace, 'configmap', configmap, {'data': dict(data)})}"
        case Kind.OPERATOR:
            patch = {"spec": {"extraConfig": dict(data)}}
            return (
                f"{manager} manages {configmap} and undoes other changes."
                f" Run: {_patch(manager.namespace, 'argocd', manager.name, patch)}"
            )
        case Kind.HELM if manager.of_argo_helm:
            return (
                f"{manager} manages {configmap}. Set {lines} under {values} in its values (below the key of its argo-cd"
                " dependency if another chart contains Argo CD; the command does not change such a release)."
                f" Run: {_upgrade(manager, values, data)}"
            )
        case Kind.HELM:
            chart = f" (chart {manager.chart})" if manager.chart else ""
            return f"{manager}{chart} manages {configmap}: add {lines} to it through that chart's values."
        case Kind.APPLICATION | Kind.FLUX:
            chart = f" (with Argo CD's Helm chart: under {values} in the values)" if manager.chart else ""
            return f"{manager} manages {configmap} and undoes other changes: add {lines} to its data in Git{chart}."
        case Kind.UNKNOWN:
            return (
                f"Add {lines} to {configmap} where it is managed (the values of Argo CD's Helm chart: {values}; an"
                " ArgoCD resource: spec.extraConfig; Git). If nothing manages it, run:"
                f" {_patch(manager.namespace, 'configmap', configmap, {'data': dict(data)})}"
            )


def _patch(namespace: str, kind: str, name: str, patch: Mapping[str, Any]) -> str:
    return f"kubectl -n {namespace} patch {kind} {name} --type merge -p {shlex.quote(json.dumps(patch))}"


def _upgrade(manager: Manager, values: str, data: Mapping[str, str]) -> str:
    """Return the command that adds ``data`` to the release's values.

    It first checks the release's chart, because it would replace a chart that only contains Argo CD's.
    """
    where, version = f"helm -n {manager.release_namespace}", manager.chart.removeprefix("argo-cd-")
    name = manager.name.replace(".", r"\.")
    # A dot would end a key of --set, a comma the value.
    pairs = (f"{values}.{_escaped(key, '.')}={_escaped(value, ',')}" for key, value in data.items())
    return (
        f"{where} list --filter '^{name}$' -o json | grep -q '\"chart\":\"{manager.chart}\"' && {where} upgrade"
        f" {manager.name} argo-cd --repo {_ARGO_HELM} --version {version} --reuse-values"
        f" {' '.join(f'--set-string {shlex.quote(pair)}' for pair in pairs)}"
    )


def _escaped(text: str, special: str) -> str:
    return text.replace(special, f"\\{special}")
