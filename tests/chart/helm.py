"""Running both helms on the chart, and reading what they render."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import yaml

from dev.sandbox import tools

CHART = Path(__file__).parents[2] / "chart"
HELMS = ("helm", "helm4")
"""Helm 3 and Helm 4."""
KUBERNETES = "1.37.0"
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which Kubernetes' own schemas don't have."""

Manifest = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Quotes every string: plain ones (``Y``, ``0o7``) mean other things to Go's YAML than to Python's."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@dataclass(frozen=True)
class Run:
    """What a program came to."""

    code: int
    out: str
    err: str

    def refusals(self) -> list[str]:
        """Return the schema's refusals as helm prints them, sorted: helm's own order is random."""
        return sorted(line.strip()[2:] for line in self.err.splitlines() if line.strip().startswith("- "))

    def manifests(self) -> list[Manifest]:
        """Return the rendered objects. Fails the test when nothing was rendered."""
        assert self.code == 0, self.err
        return [m for m in yaml.load_all(self.out, yaml.CSafeLoader) if m]


def program(name: str) -> str:
    """Return the path of a client program: the one on PATH, else the sandbox's."""
    return shutil.which(name) or str(tools.which(name))


def run(*words: str | Path, given: str | None = None) -> Run:
    """Run a client program with helm's plugins at hand."""
    # ct calls helm, and yamllint and yamale from this Python's own folder.
    folders = (Path(program("helm")).parent, Path(sys.executable).parent)
    environment = {**os.environ, "PATH": os.pathsep.join((*map(str, folders), os.environ["PATH"]))}
    environment.setdefault("HELM_PLUGINS", str(tools.PLUGINS))
    command = [program(str(words[0])), *map(str, words[1:])]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)
    return Run(done.returncode, done.stdout, done.stderr)


def dump(values: Mapping[str, Any]) -> str:
    """Return values as YAML that Go and Python read alike."""
    return yaml.dump(dict(values), Dumper=_Dumper)


def template(
    values: str | Mapping[str, Any] | None = None,
    *flags: str,
    helm: str = "helm",
    chart: Path = CHART,
    release: str = "r",
) -> Run:
    """Run ``helm template`` with ``values`` (YAML text or a mapping)."""
    text = values if isinstance(values, str) else dump(values or {})
    fixed = ("--kube-version", KUBERNETES, "--namespace", "ns", "-f", "-")
    return run(helm, "template", release, chart, *fixed, *flags, given=text)


def render(values: str | Mapping[str, Any] | None = None, *flags: str, **options: Any) -> list[Manifest]:
    """Return the objects that ``values`` render to."""
    return template(values, *flags, **options).manifests()


def validate(manifests: Iterable[Manifest]) -> None:
    """Raise for what Kubernetes would not take. The same object is looked at once."""
    for manifest in manifests:
        if manifest["kind"] not in FOREIGN:
            _validate(json.dumps(manifest, sort_keys=True))


@cache
def _validate(manifest: str) -> None:
    kubernetes_validate.validate(json.loads(manifest), "1.37", strict=True)


def one(manifests: Iterable[Manifest], kind: str, name: str) -> Manifest:
    """Return the one object of this kind and name."""
    found = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"{len(found)} objects {kind}/{name}"
    return found[0]


def pod_spec(manifest: Manifest) -> dict[str, Any] | None:
    """Return the Pod spec of a workload, None of anything else."""
    match manifest["kind"]:
        case "Pod":
            spec: dict[str, Any] = manifest["spec"]
        case "Deployment" | "Job":
            spec = manifest["spec"]["template"]["spec"]
        case _:
            return None
    return spec


def environment(manifest: Manifest) -> dict[str, Any]:
    """Return a workload's variables: a value as its process sees it, or (Secret name, key), or a field's path."""
    spec = pod_spec(manifest)
    assert spec is not None
    seen: dict[str, Any] = {}
    for variable in spec["containers"][0]["env"]:
        assert variable["name"] not in seen, f"{variable['name']} is set twice"
        source = variable.get("valueFrom") or {}
        if "secretKeyRef" in source:
            seen[variable["name"]] = (source["secretKeyRef"]["name"], source["secretKeyRef"]["key"])
        elif "fieldRef" in source:
            seen[variable["name"]] = source["fieldRef"]["fieldPath"]
        else:
            seen[variable["name"]] = expand(variable["value"])
    return seen


def expand(value: str) -> str:
    """Expand as the kubelet does, with no variable known: ``$$`` becomes ``$``, an unknown ``$(VAR)`` stays.

    Source: Kubernetes' third_party/forked/golang/expansion.
    """
    return value.replace("$$", "$")
