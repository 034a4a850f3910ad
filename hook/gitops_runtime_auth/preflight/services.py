"""Finds the Service of Argo CD's API server, by the labels that it has in every installation of Argo CD."""

from collections.abc import Sequence
from urllib.parse import quote

from gitops_runtime_auth.errors import AuthError, ConfigurationError, RefusedError
from gitops_runtime_auth.kube.api import Cluster, Object
from gitops_runtime_auth.preflight.forward import Service

_LABELS = "app.kubernetes.io/part-of=argocd"
_USUAL_NAMESPACES = ("argocd", "argo-cd", "openshift-gitops")
"""Namespaces that are searched if the user may not list the Services of all namespaces."""


def require(cluster: Cluster, service: Service, path: str) -> None:
    """Raise ConfigurationError unless ``service`` exists and has the port. The remedy lists Argo CD's Services.

    ``path`` is the user's spelling of the server block, for example ``global.external-arg-cd.server``.
    """
    found = cluster.get(f"/api/v1/namespaces/{service.namespace}/services/{service.name}")
    if found is None:
        problem = f"There is no Service {service}."
    elif service.port in _ports(found):
        return
    else:
        problem = f"Service {service} has no port {service.port}, only {_listed(_ports(found))}."
    raise ConfigurationError(problem, _offer(cluster, service, path))


def of_argocd(cluster: Cluster, near: Sequence[str]) -> list[Object]:
    """Return Argo CD's Services in all namespaces; if these may not be listed, in ``near`` and the usual ones."""
    selector = f"labelSelector={quote(_LABELS)}"
    try:
        return _items(cluster.get(f"/api/v1/services?{selector}"))
    except RefusedError:
        found: list[Object] = []
    for namespace in dict.fromkeys([*near, *_USUAL_NAMESPACES]):
        try:
            found += _items(cluster.get(f"/api/v1/namespaces/{namespace}/services?{selector}"))
        except RefusedError:
            continue
    return found


def is_server(service: Object) -> bool:
    """Tell whether this is the Service of the API server, and not that of its metrics, which has the same component."""
    labels = service["metadata"].get("labels") or {}
    names = ("argocd-server", f"{labels.get('app.kubernetes.io/instance')}-server")
    server = labels.get("app.kubernetes.io/component") == "server" or labels.get("app.kubernetes.io/name") in names
    return server and not service["metadata"]["name"].endswith("-metrics")


def _items(services: Object | None) -> list[Object]:
    return (services or {}).get("items") or []


def _offer(cluster: Cluster, missing: Service, path: str) -> str:
    try:
        all_of_it = of_argocd(cluster, [missing.namespace])
    except AuthError:
        all_of_it = []
    found = [service for service in all_of_it if is_server(service)]
    if not found and all_of_it:
        where = all_of_it[0]["metadata"]["namespace"]
        return (
            f"The Argo CD in namespace {where} has no API server (it is a core installation), so that it has no"
            " accounts and no API keys: install argocd-server there, or name another Argo CD."
        )
    if not found:
        return f"Correct {path} (kubectl get svc -A -l {_LABELS}), or run check with --server."
    lines = []
    for service in found:
        name, where, ports = service["metadata"]["name"], service["metadata"]["namespace"], _ports(service)
        port = next((p for p in (443, 80) if p in ports), ports[0] if ports else 443)
        lines.append(f"--set {path}.svc={name}.{where} --set {path}.port={port}")
    return f"Argo CD's {'Service here is' if len(lines) == 1 else 'Services here are'}: " + "; or ".join(lines)


def _ports(service: Object) -> list[int]:
    return [int(port["port"]) for port in service.get("spec", {}).get("ports") or []]


def _listed(ports: Sequence[int]) -> str:
    return " and ".join(map(str, ports)) or "none"
