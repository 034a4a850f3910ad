"""Renders the chart with the user's own ``helm template``, to see what the hook would read.

Helm merges the values, validates them against the chart's schema and prints what is wrong with them, so none of that
is done here again.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitops_runtime_auth.errors import ConfigurationError, UnreachableError, UsageError
from gitops_runtime_auth.kube.api import Object
from gitops_runtime_auth.kube.stored import from_base64
from gitops_runtime_auth.log import printable
from gitops_runtime_auth.retry import Deadline

SETTINGS = "settings.json"
"""Key of the settings in a hook's ConfigMap."""

_NAME, _COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
_ABOUT_THE_CLUSTER = {"--kube-version", "--api-versions", "-a", "--validate", "--dry-run"}
"""Flags of helm by which the user describes the cluster."""
_PROBE = Path(__file__).with_name("probe")
"""A chart without defaults, whose only object contains the given values."""


@dataclass(frozen=True)
class HelmRun:
    """What one run of ``check`` passes to helm. Flags are passed on unchanged."""

    release: str
    namespace: str
    chart: str
    """A folder, an archive, or anything else that helm accepts as a chart."""
    values: Sequence[str] = field(default=(), repr=False)
    """The flags for values, each followed by its argument, which may contain a credential."""
    others: Sequence[str] = field(default=(), repr=False)
    stdin: bytes | None = field(default=None, repr=False)
    """Standard input, for a ``-`` in ``values``."""

    @property
    def describes_the_cluster(self) -> bool:
        """Whether the user's flags describe the cluster to helm."""
        return bool({flag.partition("=")[0] for flag in self.others} & _ABOUT_THE_CLUSTER)

    def render(self, cluster: Sequence[str], deadline: Deadline) -> "Rendering":
        """Render the chart. ``cluster`` are the flags that describe the cluster to helm.

        Raises UsageError if there is no helm, ConfigurationError with helm's own message, UnreachableError if it takes
        too long.
        """
        arguments = ["--namespace", self.namespace, *self.values, *self.others, *cluster]
        return Rendering(tuple(_documents(self._helm(["template", self.release, self.chart, *arguments], deadline))))

    def given_values(self, deadline: Deadline) -> dict[str, Any]:
        """Return the user's values, merged by helm, without any chart's defaults."""
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
                "helm template did not end in time.",
                "Run check with a longer --timeout, or with a chart on the disk of this machine.",
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
        """Return the document that the hook would read. Raises ConfigurationError if the chart renders none."""
        found = [d for d in self.of_kind("ConfigMap") if SETTINGS in (d.get("data") or {}) and _ours(d)]
        of_hook = [d for d in found if _labels(d).get(_COMPONENT) == "ensure"] or found[:1]
        if not of_hook:
            raise ConfigurationError(
                "The chart renders no settings for the hook.",
                "Give --chart a chart that contains gitops-runtime-auth, enabled, and omit flags that leave hooks out"
                " (--no-hooks, --show-only, --output-dir).",
            )
        if len(of_hook) > 1:
            names = ", ".join(d["metadata"]["name"] for d in of_hook)
            raise ConfigurationError(
                f"The chart contains gitops-runtime-auth {len(of_hook)} times ({names}).",
                "Check one at a time: disable the others with --set.",
            )
        settings: dict[str, Any] = json.loads(of_hook[0]["data"][SETTINGS])
        return settings

    def secret_value(self, name: str, key: str) -> str | None:
        """Return the value of a Secret that the chart itself makes, None if it makes none of that name and key."""
        for secret in self.of_kind("Secret"):
            if secret["metadata"]["name"] == name:
                if key in (secret.get("stringData") or {}):
                    return str(secret["stringData"][key])
                if key in (secret.get("data") or {}):
                    return from_base64(secret["data"][key])
        return None

    def of_kind(self, *kinds: str) -> Iterator[Object]:
        """Yield the objects of these kinds."""
        return (d for d in self.documents if d.get("kind") in kinds)

    def hook_job(self) -> Object | None:
        """Return the Job that makes the API key, None if ``hook.enabled`` is false."""
        jobs = [d for d in self.of_kind("Job") if _labels(d).get(_COMPONENT) == "ensure" and _ours(d)]
        return jobs[0] if jobs else None


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
