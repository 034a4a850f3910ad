"""Finds out from the metadata of ConfigMap ``argocd-cm`` who manages it.

An operator or GitOps undoes a ``kubectl patch`` of its ConfigMap within seconds, so ``remedies`` must know the manager.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gitops_runtime_auth.kube.owned import mapping

CONFIG = "argocd-cm"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_TRACKING_ID = "argocd.argoproj.io/tracking-id"
_OWN_LABEL, _COMMON_LABEL = "argocd.argoproj.io/instance", "app.kubernetes.io/instance"
_FLUX = {"HelmRelease": "helm.toolkit.fluxcd.io", "Kustomization": "kustomize.toolkit.fluxcd.io"}


class Kind(Enum):
    """The kind of manager, which undoes changes of ``argocd-cm`` by others. The value is its name in messages."""

    NOBODY = "nobody (plain manifests)"
    HELM = "Helm release"
    OPERATOR = "ArgoCD resource"
    APPLICATION = "Argo CD Application"
    FLUX = "Flux"
    UNKNOWN = "not known, because ConfigMap argocd-cm could not be read"


@dataclass(frozen=True)
class Manager:
    """The manager of one ``argocd-cm``."""

    kind: Kind
    namespace: str
    """Argo CD's namespace, which is that of ``argocd-cm``."""
    name: str = ""
    """Name of the release, resource or Application; for Flux with its kind (``HelmRelease flux-system/argo-cd``)."""
    release_namespace: str = ""
    """Namespace of the Helm release, which may differ from Argo CD's."""
    chart: str = ""
    """Name and version of the chart that rendered the ConfigMap, such as ``argo-cd-9.1.0``; empty if none did."""
    of_argo_helm: bool = False
    """Whether it is the chart of the Argo project, whose values are known."""
    settings: Mapping[str, str] | None = None
    """The data of ``argocd-cm``, None if it could not be read."""

    @property
    def takes_changes_back(self) -> bool:
        """Whether the manager undoes changes of the ConfigMap, so that ``hook.enableApiKey`` can't work."""
        return self.kind not in (Kind.NOBODY, Kind.UNKNOWN)

    def __str__(self) -> str:
        """Return the manager's name for a message."""
        return f"{self.kind.value} {self.name}" if self.name else self.kind.value


def manager_of(configmap: Mapping[str, Any] | None, namespace: str) -> Manager:
    """Return the manager according to the metadata of ``argocd-cm``. Without the ConfigMap it is UNKNOWN.

    ``namespace`` is Argo CD's.
    """
    if configmap is None:
        return Manager(Kind.UNKNOWN, namespace)
    metadata, data = mapping(configmap.get("metadata")), mapping(configmap.get("data"))
    labels, annotations = mapping(metadata.get("labels")), mapping(metadata.get("annotations"))
    kind, name = _owner(metadata, data)
    chart = _plain(labels.get("helm.sh/chart"))
    return Manager(
        kind,
        namespace,
        name,
        release_namespace=_plain(annotations.get("meta.helm.sh/release-namespace")) or namespace,
        chart=chart,
        # The chart of the Argo project sets this label to that name; other charts called argo-cd do not.
        of_argo_helm=chart.startswith("argo-cd-") and labels.get("app.kubernetes.io/name") == CONFIG,
        settings={key: str(value) for key, value in data.items()},
    )


def _owner(metadata: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[Kind, str]:
    """Return kind and name of the manager. Those that undo changes come first: operator, then GitOps, then Helm.

    Helm's annotations stay on the ConfigMap when an Application takes a release over. The label
    ``app.kubernetes.io/instance`` comes last, because Argo CD's Helm chart sets it, too, to the release's name.
    """
    labels, annotations = mapping(metadata.get("labels")), mapping(metadata.get("annotations"))
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("kind") == "ArgoCD" and str(owner.get("apiVersion")).startswith("argoproj.io/"):
            return Kind.OPERATOR, _plain(owner.get("name"))
    own_label = str(data.get("application.instanceLabelKey") or _OWN_LABEL)
    tracked = _tracked_by(annotations.get(_TRACKING_ID, ""), metadata)
    if own_label != _COMMON_LABEL:
        tracked = tracked or labels.get(own_label, "") or labels.get(_OWN_LABEL, "")
    if tracked:
        return Kind.APPLICATION, tracked
    for kind, group in _FLUX.items():
        if name := labels.get(f"{group}/name"):
            return Kind.FLUX, f"{kind} {labels.get(f'{group}/namespace', '')}/{name}"
    if release := _plain(annotations.get("meta.helm.sh/release-name")):
        return Kind.HELM, release
    if application := labels.get(_COMMON_LABEL):
        return Kind.APPLICATION, application
    return Kind.NOBODY, ""


def _tracked_by(tracking_id: str, metadata: Mapping[str, Any]) -> str:
    """Return the Application in a tracking id, empty if the id was copied from another object.

    Its form is ``<application>:<group>/<kind>:<namespace>/<name>``. An Application outside of Argo CD's namespace is
    written as ``<namespace>_<name>`` (``util/argo/resource_tracking.go``).
    """
    application, _, rest = tracking_id.partition(":")
    if rest != f"/ConfigMap:{metadata.get('namespace')}/{metadata.get('name')}":
        return ""
    return _plain(application.replace("_", "/"))


def _plain(name: Any) -> str:
    """Return a name that can be part of a command, else an empty string, because an annotation can be any text."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""
