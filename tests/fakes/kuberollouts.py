"""What Kubernetes' controllers make of Deployments and StatefulSets, as far as their status tells."""

from collections.abc import Mapping
from typing import Any, Literal

from tests.fakes.kubeobjects import WORKLOADS, Object, Store, now, target


class Rollouts:
    """Rolls workloads out: ``at once`` whenever their spec changed, or ``held`` until the test says so."""

    def __init__(self, store: Store) -> None:
        self.mode: Literal["at once", "held"] = "at once"
        self._store = store
        store.on_stored = self._stored

    def finish(self, path: str) -> None:
        """Roll the workload out: every Pod is new and available."""
        with self._store.changed:
            found = self._store.objects[path]
            replicas = found["spec"]["replicas"]
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
            self.status(path, observedGeneration=found["metadata"]["generation"], **counts, **_told(path, found))

    def status(self, path: str, **fields: Any) -> None:
        """Set fields of the status and leave the others; most counts of 0 are left out, as Kubernetes does."""
        with self._store.changed:
            found = self._store.objects[path]
            merged = {**found.get("status", {}), **fields}
            shown = ("replicas", "availableReplicas") if _is_stateful(path) else ("terminatingReplicas",)
            kept = {k: v for k, v in merged.items() if v != 0 or k in shown}
            self._store.store(path, {**found, "status": kept}, told=False)

    def _stored(self, path: str, new: Object, old: Object | None) -> None:
        if target(path).resource not in WORKLOADS or self.mode == "held":
            return
        if old is None or old["metadata"]["generation"] != new["metadata"]["generation"]:
            self.finish(path)


def _is_stateful(path: str) -> bool:
    return target(path).resource == "statefulsets"


def _told(path: str, found: Object) -> Mapping[str, Any]:
    if _is_stateful(path):
        revision = f"{found['metadata']['name']}-{found['metadata']['generation']}"
        return {"currentRevision": revision, "updateRevision": revision, "currentReplicas": found["spec"]["replicas"]}
    at = {"lastUpdateTime": now(), "lastTransitionTime": now(), "status": "True"}
    return {
        "terminatingReplicas": 0,
        "conditions": [
            {"type": "Available", "reason": "MinimumReplicasAvailable", **at},
            {"type": "Progressing", "reason": "NewReplicaSetAvailable", **at},
        ],
    }
