"""Reads and writes a ConfigMap of the release, with optimistic locking."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitops_runtime_auth.kube import owned
from gitops_runtime_auth.kube.api import Cluster, configmap_path
from gitops_runtime_auth.release import Release


@dataclass(frozen=True)
class Spec:
    """Name, labels and annotations of the ConfigMap."""

    name: str
    component: str
    """Value of the label ``app.kubernetes.io/component``: the purpose of the ConfigMap."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def read(cluster: Cluster, namespace: str, name: str) -> tuple[dict[str, str], str] | None:
    """Return the data and the resourceVersion of a ConfigMap, or None if it does not exist."""
    found = cluster.get(configmap_path(namespace, name))
    if found is None:
        return None
    data = {key: value for key, value in owned.mapping(found.get("data")).items() if isinstance(value, str)}
    return data, owned.version(found)


def write(
    cluster: Cluster, release: Release, chart: str, spec: Spec, data: Mapping[str, str], resource_version: str = ""
) -> str:
    """Create the ConfigMap, or replace exactly ``resource_version``; return the new version.

    Raises ConflictError if somebody else wrote it in the meantime.
    """
    metadata = owned.metadata(release, chart, spec.component, spec.name, spec.labels, spec.annotations)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
    if resource_version:
        metadata["resourceVersion"] = resource_version
    return owned.write(cluster, configmap_path(release.namespace), body)
