"""Restarts workloads that take the API key by environment, because running Pods keep the old one."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import ConfigurationError, ConflictError, RefusedError
from gitops_runtime_auth.kube.api import Cluster, Object, workload_path
from gitops_runtime_auth.kube.owned import mapping

ANNOTATION = "gitops-runtime-auth/key-id"
"""On the Pod template, with the key's id as its value: so there is one rollout for a key, however often it is asked."""
_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet"}
_WORKLOAD = re.compile(r"(?P<kind>deployment|statefulset)/(?P<name>[a-z0-9][a-z0-9.-]{0,252})")


@dataclass(frozen=True)
class Workload:
    """A Deployment or StatefulSet; ``kind`` is ``deployment`` or ``statefulset``."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Workload":
        """Return the workload that ``deployment/NAME`` or ``statefulset/NAME`` names. Raises ConfigurationError."""
        found = _WORKLOAD.fullmatch(text)
        if found is None:
            raise ConfigurationError(
                f"{text[:100]!r} is neither deployment/NAME nor statefulset/NAME.", "Correct keeper.consumers."
            )
        return cls(found["kind"], found["name"])

    def __str__(self) -> str:
        return f"{_KINDS[self.kind]} {self.name}"


def workloads(names: Iterable[str]) -> list[Workload]:
    """Return the workloads that settings name. Raises ConfigurationError."""
    return [Workload.parse(name) for name in names]


def restart(
    cluster: Cluster, namespace: str, workloads: Sequence[Workload], key_id: str, since: float | None = None
) -> list[Workload]:
    """Restart each workload that was not yet restarted for ``key_id``; return those that were restarted.

    With ``since`` (Unix time), a workload that was rolled out since then, or is about to be, is left out. So is one
    that does not exist. If Kubernetes refuses one, the others are restarted all the same, and then the first refusal is
    raised (RbacError, AdmissionError).
    """
    restarted, refusals = [], []
    for workload in workloads:
        try:
            if _restart(cluster, namespace, workload, key_id, since):
                restarted.append(workload)
        except RefusedError as e:
            refusals.append(e)
    if refusals:
        raise refusals[0]
    return restarted


def unfinished(cluster: Cluster, namespace: str, workloads: Sequence[Workload]) -> list[Workload]:
    """Return the workloads with old Pods, or with new Pods that are not available yet."""
    return [w for w in workloads if not _done(w, cluster.get(workload_path(namespace, w.kind, w.name)))]


def _restart(cluster: Cluster, namespace: str, workload: Workload, key_id: str, since: float | None) -> bool:
    path = workload_path(namespace, workload.kind, workload.name)
    found = cluster.get(path)
    if found is None or _annotation(found) == key_id:
        return False
    if since is not None and _rolled_out(found) >= since:
        return False
    try:
        cluster.patch(path, {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: key_id}}}}})
    except ConflictError:
        return False  # it was deleted in the meantime
    log.info(f"Restarting {workload}, which takes the API key by environment.", key=key_id)
    waits = _waits_for(found)
    if waits:
        log.warning(f"{workload} {waits}: the replaced API key stays valid until all its Pods are new.")
    return True


def _waits_for(found: Object) -> str:
    """Return why Kubernetes does not replace all Pods of a workload by itself, empty if it does."""
    spec = mapping(found.get("spec"))
    strategy = mapping(spec.get("updateStrategy"))
    if spec.get("paused"):
        return "is paused, so resume it (kubectl rollout resume)"
    if strategy.get("type") == "OnDelete":
        return "has the update strategy OnDelete, so delete its Pods"
    if mapping(strategy.get("rollingUpdate")).get("partition"):
        return "is rolled out in part only (its partition is not 0)"
    return ""


def _annotation(found: Object) -> str:
    template = mapping(mapping(found.get("spec")).get("template"))
    annotations = mapping(mapping(template.get("metadata")).get("annotations"))
    return str(annotations.get(ANNOTATION, ""))


def _rolled_out(found: Object) -> float:
    """Return the Unix time of the last rollout as far as it is known, or an earlier one.

    A Deployment's condition Progressing has that time when the rollout is complete
    (``pkg/controller/deployment/progress.go``). A StatefulSet has no such time, so that of its creation is returned.
    The result is infinite if the controller has not seen the last change yet.
    """
    meta, status = mapping(found.get("metadata")), mapping(found.get("status"))
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        return math.inf
    conditions = status.get("conditions") or []
    told = [c.get("lastUpdateTime") for c in conditions if c.get("type") == "Progressing"]
    for text in (*told, meta.get("creationTimestamp")):
        try:
            return datetime.fromisoformat(str(text)).timestamp()
        except ValueError:
            continue
    return 0.0


def _done(workload: Workload, found: Object | None) -> bool:
    """Tell whether all Pods are new and available, which is so for a workload that does not exist.

    It decides as ``kubectl rollout status`` does (``kubectl/pkg/polymorphichelpers/rollout_status.go``), except for
    StatefulSets with the strategy OnDelete, for which kubectl gives no answer, or with a partition, for which kubectl
    ignores old Pods below it. Here they are done when every Pod has the present revision, which the controller counts
    in ``status.updatedReplicas``.
    """
    if found is None:
        return True
    spec, status = mapping(found.get("spec")), mapping(found.get("status"))
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    available = "availableReplicas" if workload.kind == "deployment" else "readyReplicas"
    return bool(
        status.get("observedGeneration", 0) >= mapping(found.get("metadata")).get("generation", 0)
        and updated >= wanted
        and status.get("replicas", 0) <= updated
        and status.get(available, 0) >= updated
    )
