"""A repository of charts, as a Pod in the cluster."""

import subprocess
from pathlib import Path

from dev.cluster import path_of
from dev.runtime import CONFIG, IMAGE, Runtime, within


def serve(release: Runtime, folder: Path, chart: str) -> str:
    """Pack the chart into ``folder``, show it in the release's namespace, and return the repository's URL."""
    for words in (f"package {chart} -d {folder}", f"repo index {folder}"):
        subprocess.run(["helm", *words.split()], check=True, capture_output=True)
    kubectl = ("kubectl", f"--kubeconfig={CONFIG}", "-n", release.name)
    subprocess.run([*kubectl, "create", "configmap", "charts", f"--from-file={folder}"], check=True)
    container = {
        "name": "charts",
        "image": IMAGE,
        "command": ["/app/bin/python", "-m", "http.server", "-d", "/charts", "8080"],
        "volumeMounts": [{"name": "charts", "mountPath": "/charts"}],
        "readinessProbe": {"httpGet": {"path": "/index.yaml", "port": 8080}, "periodSeconds": 1},
    }
    spec = {"containers": [container], "volumes": [{"name": "charts", "configMap": {"name": "charts"}}]}
    pods, services = path_of(release.name, "pods"), path_of(release.name, "services")
    release.cluster.create(pods, {"metadata": {"name": "charts", "labels": {"app": "charts"}}, "spec": spec})
    service = {"selector": {"app": "charts"}, "ports": [{"port": 8080}]}
    release.cluster.create(services, {"metadata": {"name": "charts"}, "spec": service})
    within(60, lambda: _ready(release, f"{pods}/charts"), "or Argo CD remembers for minutes that it failed")
    return f"http://charts.{release.name}:8080"


def _ready(release: Runtime, pod: str) -> bool:
    conditions = (release.cluster.get(pod) or {})["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
