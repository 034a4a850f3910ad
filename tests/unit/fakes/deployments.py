"""A Deployment as its controller leaves it after a rollout."""

from datetime import UTC, datetime

from gitops_runtime_auth.kube.cluster import Object


def deployment(name: str, rolled_out: float = 0.0, *, done: bool = True) -> Object:
    """Return one whose last rollout was at Unix time ``rolled_out``; not ``done``: an old pod still runs."""
    at = datetime.fromtimestamp(rolled_out, UTC).isoformat()
    return {
        "metadata": {
            "name": name,
            "generation": 1,
            "resourceVersion": "0",
            "creationTimestamp": "2020-01-01T00:00:00Z",
        },
        "spec": {"replicas": 1, "template": {}},
        "status": {
            "observedGeneration": 1,
            "replicas": 1 if done else 2,
            "updatedReplicas": 1,
            "availableReplicas": 1,
            "conditions": [{"type": "Available"}, {"type": "Progressing", "lastUpdateTime": at}],
        },
    }
