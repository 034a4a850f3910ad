"""Writes Kubernetes Events, which ``kubectl describe`` and ``kubectl get events`` show."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.kube.api import Cluster, namespace_path

_COMPONENT = "gitops-runtime-auth"
Kind = Literal["Normal", "Warning"]
_LONGEST = 1024
"""Characters of an Event's message, as many as ``events.k8s.io/v1`` allows for its note."""


@dataclass(frozen=True)
class Pod:
    """The Pod that this process runs in, by which ``kubectl describe`` finds the Events."""

    name: str
    uid: str


def emit(cluster: Cluster, pod: Pod, namespace: str, kind: Kind, reason: str, message: str) -> None:
    """Write an Event about ``pod``, which runs in ``namespace``.

    A failure is logged at debug level; it does not fail a run, and does not delay it for long.
    """
    now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod.name[:200] or _COMPONENT}.{secrets.token_hex(8)}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": namespace,
            "name": pod.name,
            "uid": pod.uid,
        },
        "type": kind,
        "reason": reason,
        "message": message[:_LONGEST],
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "reportingInstance": pod.name,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    patient = cluster.within(cluster.deadline.at_most(cluster.timing.event))
    try:
        patient.create(f"{namespace_path(namespace)}/events", body)
    except AuthError as e:  # a conflict, too: then the Event was written, but the answer was lost
        log.debug(f"The Event {reason} could not be written: {e}")
