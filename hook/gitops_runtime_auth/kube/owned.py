"""The product's own Secret and ConfigMap: the labels by which it recognizes them, and how it writes them."""

from collections.abc import Mapping
from typing import Any

from gitops_runtime_auth.argocd.text import printable
from gitops_runtime_auth.errors import ConflictError
from gitops_runtime_auth.kube.api import Cluster, Object
from gitops_runtime_auth.release import Release

PREFIX = "gitops-runtime-auth"
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = "app.kubernetes.io/managed-by"
_GITOPS = {
    "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
}
"""If Argo CD installs the chart and tracks by label, it takes the object for one that was removed from the repository.
These annotations keep it from pruning it, and from deleting it before the clean-up hook has read it."""
_OWNERS = ("argocd.argoproj.io", "helm.sh", "toolkit.fluxcd.io", "external-secrets.io")
"""Domains (and their subdomains) of labels and annotations by which other programs mark what they manage."""
_LONGEST_WORD = 100
"""Characters of a name that somebody else gave, in a message."""


def metadata(
    release: Release, chart: str, component: str, name: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> Object:
    """Return the metadata of an object of ``release``; ``chart`` is the value of the label ``helm.sh/chart``.

    ``labels`` and ``annotations`` are the user's. They never replace those by which the object is recognized.
    """
    own = {
        "app.kubernetes.io/name": PREFIX,
        MANAGED_BY: PREFIX,
        INSTANCE: release.name,
        "app.kubernetes.io/component": component,
        "helm.sh/chart": chart,
    }
    return {
        "name": name,
        "namespace": release.namespace,
        "labels": {**labels, **own},
        "annotations": {**annotations, **_GITOPS},
    }


def write(cluster: Cluster, collection: str, wanted: Object) -> str:
    """Create an object in ``collection``, or replace exactly its ``resourceVersion``; return the new version.

    Raises ConflictError if somebody else wrote it in the meantime. If an answer is lost after the object was written,
    the same request is sent again and refused, so after a conflict the object is compared with the wanted one.
    """
    path = f"{collection}/{wanted['metadata']['name']}"
    try:
        return version(cluster.replace(path, wanted) if version(wanted) else cluster.create(collection, wanted))
    except ConflictError:
        found = cluster.get(path)
        if found is None or _content(found) != _content(wanted):
            raise
        return version(found)


def is_of(release: Release, found: Object) -> bool:
    """Tell whether the product made this object for ``release``. It was found in the release's namespace."""
    labels = mapping(mapping(found.get("metadata")).get("labels"))
    return labels.get(MANAGED_BY) == PREFIX and labels.get(INSTANCE) == release.name


def owner(found: Object) -> str:
    """Return the name of the object's owner for a message, empty if its metadata names none."""
    meta = mapping(found.get("metadata"))
    labels, annotations = mapping(meta.get("labels")), mapping(meta.get("annotations"))
    release, by = annotations.get("meta.helm.sh/release-name") or labels.get(INSTANCE), labels.get(MANAGED_BY)
    if release:
        return f"{_word(release)} (managed by {_word(by)})" if by else _word(release)
    if by:
        return _word(by)
    references = meta.get("ownerReferences")
    if isinstance(references, list) and references:
        first = mapping(references[0])
        return f"{_word(first.get('kind'))} {_word(first.get('name'))}"
    for key in (*labels, *annotations):
        domain, slash, _ = key.partition("/")
        if slash and any(domain == known or domain.endswith(f".{known}") for known in _OWNERS):
            return f"whoever set {_word(key)}"
    return ""


def version(found: Object) -> str:
    """Return the resourceVersion of an object, empty if it has none."""
    return str(mapping(found.get("metadata")).get("resourceVersion", ""))


def _content(found: Object) -> list[Object]:
    metadata = mapping(found.get("metadata"))
    return [mapping(part) for part in (found.get("data"), metadata.get("labels"), metadata.get("annotations"))]


def mapping(value: Any) -> dict[str, Any]:
    """Return ``value`` if it is a JSON object, else an empty one, because others may have written anything."""
    return value if isinstance(value, dict) else {}


def _word(value: object) -> str:
    return printable(str(value), _LONGEST_WORD)
