"""Running both helms on the chart, and reading what they render."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from kubernetes_validate import utils as kubernetes_schemas  # type: ignore[import-untyped]
from referencing import Registry, Resource

from dev.sandbox import tools

CHART = Path(__file__).parents[2] / "chart"
HELMS = ("helm", "helm4")
"""Helm 3 and Helm 4."""
KUBERNETES = "1.37.0"
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which Kubernetes' own schemas do not have."""

API_SERVER = "10.96.0.1"
"""What the kubelet gives every container as ``KUBERNETES_SERVICE_HOST``."""

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
        """Return the schema's refusals, sorted because helm's own order is random; else a template's."""
        lines = [line.strip() for line in self.err.splitlines()]
        schema = sorted(line[2:] for line in lines if line.startswith("- "))
        return schema or [line.split("): ", 1)[1] for line in lines if line.startswith("Error: execution error at (")]

    def documents(self) -> list[str]:
        """Return what was rendered as text, an object each, sorted because the two helms order them differently."""
        return sorted(document.strip() for document in f"\n{self.out}".split("\n---\n"))

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
    path = os.pathsep.join((*map(str, folders), os.environ["PATH"]))
    environment = {"HELM_PLUGINS": str(tools.PLUGINS), **tools.QUICK_HELM, **os.environ, "PATH": path}
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
    ask = _template if chart == CHART else _template.__wrapped__  # a test may change its own chart
    return ask(helm, release, chart, flags, text)


@cache
def _template(helm: str, release: str, chart: Path, flags: tuple[str, ...], text: str) -> Run:
    fixed = ("--kube-version", KUBERNETES, "--namespace", "ns", "-f", "-")
    return run(helm, "template", release, chart, *fixed, *flags, given=text)


def forget() -> None:
    """Have helm render anew what it has rendered before."""
    _template.cache_clear()


def render(values: str | Mapping[str, Any] | None = None, *flags: str, **options: Any) -> list[Manifest]:
    """Return the objects that ``values`` render to."""
    return template(values, *flags, **options).manifests()


def validate(manifests: Iterable[Manifest], version: str = "1.37") -> None:
    """Raise ``jsonschema.ValidationError`` for what this minor version of Kubernetes would not take."""
    for manifest in manifests:
        if manifest["kind"] not in FOREIGN:
            _validator(manifest["kind"], manifest["apiVersion"], version).validate(manifest)


@cache
def _validator(kind: str, api_version: str, version: str) -> Any:
    """Build a validator as ``kubernetes_validate.validate`` does, which reads 2 MB of schemas anew for each object."""
    full = next(v for v in reversed(kubernetes_schemas.all_versions()) if v.startswith(f"{version}."))
    folder = f"kubernetes-json-schema/v{full}-local-strict"
    group, _, short = api_version.rpartition("/")
    name = f"{kind.lower()}-{group.split('.')[0]}-{short}".replace("--", "-")
    documents = [_schema(f"{folder}/{file}.json") for file in (name, "_definitions")]
    registry: Registry[Any] = Registry().with_resources(
        (resource.id() or "", resource) for resource in map(Resource.from_contents, documents)
    )
    return jsonschema.Draft202012Validator(documents[0], registry=registry)


@cache
def _schema(file: str) -> Any:
    return kubernetes_schemas.schema_contents(file, "")


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


def settings(manifests: Iterable[Manifest], name: str = "r-auth-ensure") -> dict[str, Any]:
    """Return the settings document of a ConfigMap."""
    found: dict[str, Any] = json.loads(one(manifests, "ConfigMap", name)["data"]["settings.json"])
    return found


def volumes(manifest: Manifest) -> dict[str, Any]:
    """Return a workload's volumes by name."""
    return {volume["name"]: volume for volume in (pod_spec(manifest) or {})["volumes"] or []}


def environment(manifest: Manifest) -> dict[str, Any]:
    """Return a workload's variables: a value as its process sees it, or (Secret name, key), or a field's path."""
    spec = pod_spec(manifest)
    assert spec is not None
    seen: dict[str, Any] = {}
    for variable in spec["containers"][0]["env"] or []:
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
    """Expand as the kubelet does: ``$$`` becomes ``$``, an unknown ``$(VAR)`` stays.

    Source: Kubernetes' third_party/forked/golang/expansion.
    """
    known = {"KUBERNETES_SERVICE_HOST": API_SERVER}
    return re.sub(r"\$\$|\$\((\w+)\)", lambda m: known.get(m[1], m[0]) if m[1] else "$", value)
