"""A HelmRelease of the chart, installed by Flux' real helm-controller.

Flux' source-controller does not build from modules. What it would do is done here: the chart is packed, shown by an
HTTP server, and named in the status of a HelmChart object.
"""

import hashlib
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dev.cluster import Object
from dev.runtime import Runtime
from dev.sandbox import processes
from dev.sandbox.neighbours import ARTIFACTS, ARTIFACTS_URL
from dev.sandbox.paths import LOGS
from dev.site import CHART

NAME = "flux"
"""The helm-controller's name among the sandbox's processes."""


class HelmRelease:
    """A HelmRelease in the namespace of ``runtime``; ``chart`` is a folder."""

    def __init__(self, runtime: Runtime, chart: str = CHART, name: str = "r") -> None:
        self._runtime = runtime
        self._chart = chart
        self._name = name
        self._collections = {
            "HelmChart": f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{runtime.name}/helmcharts",
            "HelmRelease": f"/apis/helm.toolkit.fluxcd.io/v2/namespaces/{runtime.name}/helmreleases",
        }
        self._path = f"{self._collections['HelmRelease']}/{name}"

    def apply(self, values: Mapping[str, Any], retries: int = 0) -> None:
        """Create the HelmRelease, or change its values, which makes Flux try again."""
        self._publish()
        remediation = {"remediation": {"retries": retries}}
        spec = {
            "interval": "1h",
            "releaseName": self._name,
            "timeout": "2m",
            "chartRef": {"kind": "HelmChart", "name": self._name},
            "install": remediation,
            "upgrade": remediation,
            "values": dict(values),
        }
        if self._runtime.cluster.get(self._path):
            self._runtime.cluster.patch(self._path, {"spec": spec})
        else:
            self._runtime.cluster.create(
                self._collections["HelmRelease"],
                {
                    "apiVersion": "helm.toolkit.fluxcd.io/v2",
                    "kind": "HelmRelease",
                    "metadata": {"name": self._name},
                    "spec": spec,
                },
            )

    def delete(self) -> None:
        """Delete the HelmRelease; Flux then uninstalls the chart."""
        self._runtime.cluster.delete(self._path)

    def abandon(self) -> None:
        """Let it go although no controller takes it away."""
        if self._runtime.cluster.get(self._path):
            self._runtime.cluster.patch(self._path, {"metadata": {"finalizers": None}})

    def gone(self) -> bool:
        """Tell whether Flux is done with uninstalling."""
        return self._runtime.cluster.get(self._path) is None

    def status(self) -> Object:
        """Return what Flux says of it."""
        return (self._runtime.cluster.get(self._path) or {}).get("status") or {}

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Return status, reason and message of one of its conditions, empty ones if there is none."""
        for found in self.status().get("conditions") or []:
            if found["type"] == kind:
                return found["status"], found["reason"], found["message"]
        return "", "", ""

    def ready(self) -> bool:
        """Tell whether Flux calls the release ready."""
        return self.condition("Ready")[0] == "True"

    def failed(self) -> bool:
        """Tell whether Flux gave up on it."""
        return self.condition("Ready")[0] == "False" and self.condition("Reconciling")[0] != "True"

    def _publish(self) -> None:
        folder = ARTIFACTS / self._runtime.name
        folder.mkdir(exist_ok=True)
        subprocess.run(["helm", "package", self._chart, "-d", str(folder)], check=True, capture_output=True)
        (packed,) = folder.glob("*.tgz")
        self._describe(packed)

    def _describe(self, packed: Path) -> None:
        """Do what source-controller does once it has a chart: tell where it is and what it must look like."""
        cluster, charts = self._runtime.cluster, self._collections["HelmChart"]
        content = packed.read_bytes()
        if not cluster.get(f"{charts}/{self._name}"):
            spec = {
                "chart": Path(self._chart).name,
                "interval": "1h",
                "sourceRef": {"kind": "HelmRepository", "name": self._name},
            }
            cluster.create(
                charts,
                {
                    "apiVersion": "source.toolkit.fluxcd.io/v1",
                    "kind": "HelmChart",
                    "metadata": {"name": self._name},
                    "spec": spec,
                },
            )
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        version = packed.stem.rpartition("-")[2]
        artifact = {
            "url": f"{ARTIFACTS_URL}/{self._runtime.name}/{packed.name}",
            "path": f"{self._runtime.name}/{packed.name}",
            "revision": version,
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "size": len(content),
            "lastUpdateTime": now,
        }
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "ChartPullSucceeded",
            "message": "",
            "lastTransitionTime": now,
        }
        status = {"observedGeneration": 1, "artifact": artifact, "conditions": [ready], "url": artifact["url"]}
        cluster.patch(f"{charts}/{self._name}/status", {"status": status})


class Controller:
    """The helm-controller's process, from now on."""

    def __init__(self) -> None:
        self._process = processes.pid_of(NAME)
        self._log = LOGS / f"{NAME}.log"
        self._before = self._log.stat().st_size

    def lives(self) -> bool:
        """Tell whether it is the same process as at the beginning: the sandbox does not start it again."""
        return self._process is not None and processes.pid_of(NAME) == self._process

    def panics(self) -> list[str]:
        """Return what it said of panics since, those that it got over by itself included."""
        with self._log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._before)
            return [line[:300] for line in log if "panic" in line]
