"""Kubernetes Events: what happened, for ``kubectl describe`` and ``kubectl get events``."""

import secrets
from datetime import UTC, datetime
from typing import Literal

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import AuthError, ConflictError

_LONGEST = 1024
"""Characters of an Event's note, as the API server allows."""


def emit(context: Context, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
    """Write an Event about this pod. That it can't be written is logged, and no failure of the run."""
    name, uid = context.pod
    namespace, now = context.owner.namespace, datetime.now(UTC).isoformat(timespec="seconds")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:200] or 'gitops-runtime-auth'}.{secrets.token_hex(8)}", "namespace": namespace},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid},
        "type": kind,
        "reason": reason,
        "message": message[:_LONGEST],
        "source": {"component": "gitops-runtime-auth"},
        "reportingComponent": "gitops-runtime-auth",
        "reportingInstance": name,
        "firstTimestamp": now.replace("+00:00", "Z"),
        "lastTimestamp": now.replace("+00:00", "Z"),
        "count": 1,
    }
    try:
        context.cluster.create(f"/api/v1/namespaces/{namespace}/events", body)
    except (AuthError, ConflictError, OSError) as e:  # a conflict: it was written, and the answer got lost
        log.debug(f"No Event could be written: {e}")
