"""Reads the release's namespace: its UID, which differs between clusters, and whether it is being deleted."""

from collections.abc import Mapping
from typing import Any

from gitops_runtime_auth.errors import NamespaceGoneError
from gitops_runtime_auth.kube.api import Cluster, Object, namespace_path
from gitops_runtime_auth.kube.owned import mapping


def uid(cluster: Cluster, namespace: str) -> str:
    """Return the UID of a namespace, which no other namespace of any cluster has.

    Raises NamespaceGoneError if there is no such namespace.
    """
    found = cluster.get(namespace_path(namespace))
    known = str(mapping((found or {}).get("metadata")).get("uid", ""))
    if not known:
        raise NamespaceGoneError(
            f"Namespace {namespace} does not exist.", "Install into a namespace that exists (--create-namespace)."
        )
    return known


def is_going(cluster: Cluster, namespace: str) -> bool:
    """Tell whether a namespace is being deleted, or has been."""
    found = cluster.get(namespace_path(namespace))
    return found is None or _is_marked(found)


def tells_of_deletion(event: Object) -> bool:
    """Tell whether an event of a watch shows a namespace that is being deleted, or has been."""
    return event.get("type") == "DELETED" or _is_marked(mapping(event.get("object")))


def _is_marked(namespace: Mapping[str, Any]) -> bool:
    return bool(mapping(namespace.get("metadata")).get("deletionTimestamp"))
