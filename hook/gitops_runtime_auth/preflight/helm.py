"""The chart as the user's own ``helm template`` renders it: what the hook would read, before anything is installed.

Helm merges the values, checks them against the chart's schema and says itself what is wrong with them, so nothing of
that is done a second time here.
"""

import base64
import binascii
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitops_runtime_auth.errors import ConfigurationError, UnreachableError, UsageError
from gitops_runtime_auth.kube.api import Object
from gitops_runtime_auth.log import printable
from gitops_runtime_auth.retry import Deadline

SETTINGS = "settings.json"
"""Key of the settings in a hook's ConfigMap."""

_NAME, _COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
_ABOUT_THE_CLUSTER = {"--kube-version", "--api-versions", "-a", "--validate", "--dry-run"}
"""Flags of helm by which a user says himself which cluster it is for."""
_PROBE = Path(__file__).with_name("probe")
"""A chart without defaults, which renders the values that it is given."""


@dataclass(frozen=True)
class HelmRun:
    """What one ``check`` hands to helm. Flags are handed on as they came."""

    release: str
    namespace: str
    chart: str
    """A folder, an archive, or whatever else helm takes for a chart."""
    values: Sequence[str] = field(default=(), repr=False)
    """The flags that give values, each followed by its argument: one may hold a credential."""
    others: Sequence[str] = field(default=(), repr=False)
    stdin: bytes | None = field(default=None, repr=False)
    """What stands for ``-`` in ``values``."""

    @property
    def describes_the_cluster(self) -> bool:
        """Whether the user's flags tell helm which cluster it renders for."""
        return bool({flag.partition("=")[0] for flag in self.others} & _ABOUT_THE_CLUSTER)

    def render(self, cluster: Sequence[str], deadline: Deadline) -> "Rendering":
        """Render the chart. ``cluster`` holds the flags that describe the user's cluster to helm.

        Raises UsageError without helm, ConfigurationError in helm's own words, UnreachableError when it takes too long.
        """
        arguments = ["--namespace", self.namespace, *self.values, *self.others, *cluster]
        return Rendering(tuple(_documents(self._helm(["template", self.release, self.chart, *arguments], deadline))))

    def given_values(self, deadline: Deadline) -> dict[str, Any]:
        """Return the values that the user gives, merged by helm, without any chart's defaults."""
        if not self.values:
            return {}
        probe = next(_documents(self._helm(["template", "probe", str(_PROBE), *self.values], deadline)))
        values: dict[str, Any] = json.loads(probe["data"]["values"])
        return values

    def _helm(self, arguments: Sequence[str], deadline: Deadline) -> bytes:
        helm = shutil.which("helm")
        if helm is None:
            raise UsageError(
                "helm is not on PATH, and check needs it to render the chart.", "Install helm 3 or 4, then try again."
            )
        try:
            done = subprocess.run(  # noqa: S603 (the user's own program, no shell)
                [helm, *arguments], input=self.stdin or b"", capture_output=True, timeout=deadline.left(), check=False
            )
        except subprocess.TimeoutExpired:
            raise UnreachableError(
                "helm template did not end in time.", "Give check more seconds with --timeout, or a chart on this disk."
            ) from None
        if done.returncode:
            said = printable(done.stderr.decode("utf-8", "replace")).strip().removeprefix("Error: ")
            raise ConfigurationError(
                f"helm can't render the chart: {said}", "Correct the values or flags: helm install would say the same."
            )
        return done.stdout


@dataclass(frozen=True)
class Rendering:
    """The objects that helm would create."""

    documents: tuple[Object, ...] = field(repr=False)

    def settings(self) -> dict[str, Any]:
        """Return the document that the hook would read. Raises ConfigurationError when the chart renders none."""
        found = [d for d in self.of_kind("ConfigMap") if SETTINGS in (d.get("data") or {}) and _ours(d)]
        of_hook = [d for d in found if _labels(d).get(_COMPONENT) == "ensure"] or found[:1]
        if not of_hook:
            raise ConfigurationError(
                "The chart renders no settings for the hook.",
                "Give --chart a chart that holds gitops-runtime-auth, enabled, and leave out flags that hide hooks"
                " (--no-hooks, --show-only, --output-dir).",
            )
        if len(of_hook) > 1:
            names = ", ".join(d["metadata"]["name"] for d in of_hook)
            raise ConfigurationError(
                f"The chart holds gitops-runtime-auth {len(of_hook)} times ({names}).",
                "Check one at a time: disable the others with --set.",
            )
        settings: dict[str, Any] = json.loads(of_hook[0]["data"][SETTINGS])
        return settings

    def secret_value(self, name: str, key: str) -> str | None:
        """Return the value of a Secret that the chart itself makes, None when it makes none of that name and key."""
        for secret in self.of_kind("Secret"):
            if secret["metadata"]["name"] == name:
                if key in (secret.get("stringData") or {}):
                    return str(secret["stringData"][key])
                if key in (secret.get("data") or {}):
                    return decoded(secret["data"][key])
        return None

    def of_kind(self, *kinds: str) -> Iterator[Object]:
        """Yield the objects of these kinds."""
        return (d for d in self.documents if d.get("kind") in kinds)

    def hook_job(self) -> Object | None:
        """Return the Job that obtains the API key, None when the values switch it off."""
        jobs = [d for d in self.of_kind("Job") if _labels(d).get(_COMPONENT) == "ensure" and _ours(d)]
        return jobs[0] if jobs else None


def decoded(value: object) -> str:
    """Return a value of a Secret's data in plain text, empty when it is not base64."""
    try:
        return base64.b64decode(str(value)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _ours(document: Object) -> bool:
    return _labels(document).get(_NAME) == "gitops-runtime-auth" or "gitops-runtime-auth" in _labels(document).get(
        "helm.sh/chart", ""
    )


def _labels(document: Object) -> dict[str, str]:
    return (document.get("metadata") or {}).get("labels") or {}


def _documents(output: bytes) -> Iterator[Object]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for document in yaml.load_all(output, Loader=loader):
            if isinstance(document, dict):
                yield document
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        raise ConfigurationError(
            f"The chart renders something that is not YAML (line {mark.line + 1 if mark else '?'}).",
            "Look at it with helm template.",
        ) from None
