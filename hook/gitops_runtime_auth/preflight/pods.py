"""Finds what would prevent the chart's Pods from starting: a quota, or an image that can't be pulled.

A Pod that a quota refuses never starts, and helm then says only "timed out waiting for the condition".
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from gitops_runtime_auth.kube.api import Object
from gitops_runtime_auth.preflight.helm import Rendering

_COUNTED = {
    "ConfigMap": "configmaps",
    "Deployment": "deployments.apps",
    "Job": "jobs.batch",
    "Role": "roles.rbac.authorization.k8s.io",
    "RoleBinding": "rolebindings.rbac.authorization.k8s.io",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "StatefulSet": "statefulsets.apps",
}
"""Kind -> its name in a quota (``count/...``)."""
_SHORT = {"configmaps", "secrets", "services"}
"""Names that a quota may also use without ``count/``."""
_MADE_BY_THE_HOOK = {"secrets": 1, "configmaps": 1}
"""Number of objects that the hook makes: the key Secret and the record of refused passwords."""
_COMPUTE = tuple(f"{kind}.{what}" for kind in ("requests", "limits") for what in ("cpu", "memory", "ephemeral-storage"))
_OF_CLASSES = ("scopes", "scopeSelector")
"""A quota with one of these fields counts only some Pods, which is not calculated here."""


def needs(rendering: Rendering, *, installed: bool) -> dict[str, Decimal]:
    """Return what an install needs of a quota, by the quota's names: the release's objects, and one hook at a time.

    With ``installed`` the release exists already, so that only its hook is new.
    """
    jobs = [_pod(job) for job in rendering.of_kind("Job")]
    running = [(_pod(d), _replicas(d)) for d in rendering.of_kind("Deployment", "StatefulSet")]
    if installed:
        running = []
    found = {"pods": Decimal(sum(count for _, count in running) + bool(jobs))}
    found["count/pods"] = found["pods"]
    for kind, name in _COUNTED.items():
        number = min(1, len(jobs)) if kind == "Job" else len(list(rendering.of_kind(kind))) * (not installed)
        number += _MADE_BY_THE_HOOK.get(name, 0) * (not installed)
        found |= {f"count/{name}": Decimal(number)} | ({name: Decimal(number)} if name in _SHORT else {})
    for resource in _COMPUTE:
        hook = max((_sum(pod, resource) for pod in jobs), default=Decimal(0))
        found[resource] = hook + sum((count * _sum(pod, resource) for pod, count in running), Decimal(0))
    return found | {what: found[f"requests.{what}"] for what in ("cpu", "memory")}


def lacking(quotas: Iterable[Object], limit_ranges: Iterable[Object], rendering: Rendering, *, installed: bool) -> str:
    """Return a sentence about the quotas that are exhausted, empty if none is."""
    from kubernetes.utils.quantity import parse_quantity

    wanted, said = needs(rendering, installed=installed), []
    for quota in quotas:
        if any((quota.get("spec") or {}).get(key) for key in _OF_CLASSES):
            continue
        name, status = quota["metadata"]["name"], quota.get("status") or {}
        for resource, hard in (status.get("hard") or {}).items():
            left = parse_quantity(hard) - parse_quantity((status.get("used") or {}).get(resource, 0))
            if wanted.get(resource, Decimal(0)) > left:
                said.append(
                    f"{name} leaves {_short(left)} of {hard} {resource}, and {_short(wanted[resource])} are needed"
                )
            if not list(limit_ranges) and (bare := _without(rendering, resource)):
                said.append(f"{name} counts {resource}, which {bare} does not set, so that its Pods are refused")
    return "; ".join(dict.fromkeys(said))


def image(rendering: Rendering) -> str:
    """Return the image of the hook, empty if ``hook.enabled`` is false."""
    job = rendering.hook_job()
    return str(next(_containers(_pod(job)))["image"]) if job else ""


def pull_secrets(rendering: Rendering) -> list[str]:
    """Return the names of the Secrets for pulling the hook's image."""
    job = rendering.hook_job()
    return [s["name"] for s in _pod(job).get("imagePullSecrets") or []] if job else []


def _without(rendering: Rendering, resource: str) -> str:
    """Return the first workload with a container that does not set ``resource``, empty if all do or need not."""
    resource = f"requests.{resource}" if resource in ("cpu", "memory") else resource
    if resource not in _COMPUTE:
        return ""
    for document in rendering.of_kind("Job", "Deployment", "StatefulSet"):
        for container in _containers(_pod(document)):
            # Kubernetes uses a limit as the request if only the limit is set.
            if not (_quantity(container, resource) or _quantity(container, resource.replace("requests", "limits"))):
                return f"{document['kind']} {document['metadata']['name']}"
    return ""


def _sum(pod: Mapping[str, Any], resource: str) -> Decimal:
    from kubernetes.utils.quantity import parse_quantity

    return sum((parse_quantity(_quantity(c, resource) or 0) for c in _containers(pod)), Decimal(0))


def _quantity(container: Mapping[str, Any], resource: str) -> Any:
    kind, _, what = resource.partition(".")
    return ((container.get("resources") or {}).get(kind) or {}).get(what)


def _containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return iter(pod.get("containers") or [])


def _pod(document: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = document["spec"]["template"]["spec"]
    return spec


def _replicas(document: Mapping[str, Any]) -> int:
    replicas = document["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _short(number: Decimal) -> str:
    return f"{max(number, Decimal(0)):f}"
