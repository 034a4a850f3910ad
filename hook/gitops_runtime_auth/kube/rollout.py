"""Workloads that take the API key by environment: they follow a new key only by a restart of their Pods."""

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
"""On the Pod template. The key's id as its value makes one rollout of it, whoever asks for it and how often."""
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
    """Roll out each workload that was not yet rolled out for ``key_id``; return those that were restarted.

    With ``since`` (Unix time), those are left alone that are known to have been rolled out since then, or are about to
    be. One that does not exist is left out. Where Kubernetes refuses one, the others are restarted all the same, then
    the first refusal is raised (RbacError, AdmissionError).
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
    """Return the workloads of which old Pods still run, or new ones are not available yet."""
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
        log.warning(f"{workload} {waits}: until its Pods are new, the former API key stays alive.")
    return True


def _waits_for(found: Object) -> str:
    """Say why Kubernetes does not renew all Pods of a workload by itself; empty when it does."""
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
    """Return the Unix time of the last rollout as far as it is known, which is never too late.

    A Deployment's condition Progressing keeps it once the rollout is complete
    (``pkg/controller/deployment/progress.go``). A StatefulSet tells none, so it counts as rolled out when it was made.
    Infinite when a change has yet to be seen by the controller.
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
    """Tell whether all Pods are new and available; a workload that does not exist has none.

    As ``kubectl rollout status`` decides (``kubectl/pkg/polymorphichelpers/rollout_status.go``), but for StatefulSets
    with the strategy OnDelete, of which kubectl says nothing, or with a partition, which kubectl calls complete while
    Pods below it are old: here they are done once every Pod has the present revision, which the controller counts for
    them too (``status.updatedReplicas``).
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
