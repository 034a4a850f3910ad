"""Finds out from the Pod template how a Deployment or StatefulSet takes a Secret."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SecretUse:
    """One way in which Pods take a Secret."""

    where: str
    """The environment variable or the volume, for a message."""
    key: str
    """The key of the Secret, empty if all of it is taken."""


def uses_of(secret: str, workload: dict[str, Any]) -> tuple[SecretUse, ...]:
    """Return how the Pods of ``workload`` take the Secret of that name: by environment, by volume, or by its name.

    A variable whose value is the Secret's name counts, because some programs are given the name and read the Secret
    through the Kubernetes API. The content of ConfigMaps is not read.
    """
    pod = workload["spec"]["template"].get("spec") or {}
    containers = [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]
    found = [use for container in containers for use in _environment(secret, container)]
    found += [use for volume in pod.get("volumes") or [] for use in _volume(secret, volume)]
    return tuple(dict.fromkeys(found))


def _environment(secret: str, container: dict[str, Any]) -> Iterator[SecretUse]:
    for variable in container.get("env") or []:
        source = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
        if source.get("name") == secret:
            yield SecretUse(f"variable {variable['name']}", source["key"])
        elif variable.get("value") == secret:
            yield SecretUse(f"name in variable {variable['name']}", "")
    for source in container.get("envFrom") or []:
        if (source.get("secretRef") or {}).get("name") == secret:
            yield SecretUse("all variables of the Secret", "")


def _volume(secret: str, volume: dict[str, Any]) -> Iterator[SecretUse]:
    direct = volume.get("secret") or {}
    projected = [source.get("secret") or {} for source in (volume.get("projected") or {}).get("sources") or []]
    for source in [{**direct, "name": direct.get("secretName")}, *projected]:
        if source.get("name") == secret:
            keys = [item["key"] for item in source.get("items") or []]
            yield from (SecretUse(f"volume {volume['name']}", key) for key in keys or [""])
