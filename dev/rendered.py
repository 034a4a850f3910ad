"""Renders the chart, and returns settings, rights and environment of its install hook."""

import subprocess
from dataclasses import dataclass
from typing import Any

import yaml

from dev.cluster import Object
from dev.identity import Rule
from dev.site import CHART


@dataclass(frozen=True)
class Hook:
    """The Pod of the Job that makes the key, without the Pod."""

    settings: str
    """The content of settings.json."""
    rules: list[Rule]
    environment: dict[str, str]


def objects(release: str, namespace: str, *sets: str) -> list[Object]:
    """Return all that ``helm template`` renders, hooks included."""
    command = ["helm", "template", release, CHART, "-n", namespace, *sets]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def install_hook(release: str, namespace: str, *sets: str) -> Hook:
    """Return the install hook that the chart renders from helm's ``--set`` arguments."""
    hooks = [o for o in objects(release, namespace, *sets) if "pre-install" in _events(o)]
    (job,) = (o for o in hooks if o["kind"] == "Job")
    (settings,) = (o["data"]["settings.json"] for o in hooks if "settings.json" in o.get("data", {}))
    (role,) = (o for o in hooks if o["kind"] == "Role" and o["metadata"]["namespace"] == namespace)
    fields = {"metadata.namespace": namespace, "metadata.name": "hook", "metadata.uid": "0"}
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return Hook(settings, role["rules"], {e["name"]: _value(e, fields) for e in container.get("env") or []})


def _value(variable: dict[str, Any], fields: dict[str, str]) -> str:
    if "valueFrom" in variable:
        return fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
    return str(variable.get("value", ""))


def _events(found: Object) -> str:
    return str((found["metadata"].get("annotations") or {}).get("helm.sh/hook", ""))
