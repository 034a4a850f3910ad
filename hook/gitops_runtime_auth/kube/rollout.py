"""Deployments that take the API key by environment: they follow a new key only by a restart of their pods."""

import math
from datetime import datetime
from typing import Any

from gitops_runtime_auth import log
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import ConflictError

ANNOTATION = "gitops-runtime-auth/key-id"
"""On the pod template. The key's id as its value makes one rollout of it, whoever asks for it and how often."""


def restart(context: Context, key_id: str, since: float | None = None) -> list[str]:
    """Roll out each consumer that was not yet rolled out for ``key_id``; return their names.

    With ``since`` (Unix time), those are left alone that were rolled out since then, or are about to be. Raises
    RbacError and what heals.
    """
    restarted = []
    for name in context.consumers:
        found = context.cluster.get(_path(context, name))
        if found is None or _annotation(found) == key_id:
            continue
        if since is not None and _rolled_out(found) >= since:
            continue
        try:
            context.cluster.patch(
                _path(context, name), {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: key_id}}}}}
            )
        except ConflictError:
            continue  # gone in the meantime
        log.info(f"Restarting Deployment {name}, which takes the API key by environment.", key=key_id)
        restarted.append(name)
    return restarted


def unfinished(context: Context) -> list[str]:
    """Return the consumers of which old pods still run, or new ones are not available yet."""
    return [name for name in context.consumers if not _done(context.cluster.get(_path(context, name)))]


def _path(context: Context, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{context.owner.namespace}/deployments/{name}"


def _annotation(deployment: dict[str, Any]) -> str:
    annotations = deployment["spec"]["template"].get("metadata", {}).get("annotations") or {}
    return str(annotations.get(ANNOTATION, ""))


def _rolled_out(deployment: dict[str, Any]) -> float:
    """Return the Unix time of the last rollout, which the condition Progressing keeps once it is complete.

    Infinite when a change has yet to be seen by the controller. Source: ``pkg/controller/deployment/progress.go``.
    """
    if (deployment.get("status") or {}).get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return math.inf
    conditions = (deployment.get("status") or {}).get("conditions") or []
    told = [c.get("lastUpdateTime") for c in conditions if c.get("type") == "Progressing"]
    for text in (*told, deployment["metadata"].get("creationTimestamp")):
        try:
            return datetime.fromisoformat(str(text)).timestamp()
        except ValueError:
            continue
    return 0.0


def _done(deployment: dict[str, Any] | None) -> bool:
    """As ``kubectl rollout status`` decides (``polymorphichelpers/rollout_status.go``); a missing one is done."""
    if deployment is None:
        return True
    spec, status = deployment["spec"], deployment.get("status") or {}
    wanted = spec.get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and updated >= wanted
        and status.get("replicas", 0) <= updated
        and status.get("availableReplicas", 0) >= updated
    )
