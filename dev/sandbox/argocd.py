"""Installs Argo CD as its users do: with the manifests of its own module, and with images that are built here."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from dev.sandbox import images, tools
from dev.sandbox.controlplane import kubectl
from dev.sandbox.paths import STATE
from dev.sandbox.shell import wait_for

NAMESPACE = "argocd"
_OFF = ("argocd-dex-server", "argocd-notifications-controller", "argocd-applicationset-controller")
"""Nothing here needs SSO, notifications or application sets."""
_RECIPE = STATE / "argocd-recipe"


def manifests() -> str:
    """Return Argo CD's own manifests, changed as little as this cluster needs."""
    folder = tools.module_folder(tools.ARGOCD_LINES[tools.ARGOCD], tools.ARGOCD_MODULE)
    text = (folder / "manifests" / "install.yaml").read_text()
    text = re.sub(r"image: \S*argoproj/argocd:\S+", f"image: {images.ARGOCD_IMAGE}", text)
    text = re.sub(r"image: \S*/redis:\S+", f"image: {images.REDIS_IMAGE}", text)
    text = text.replace("imagePullPolicy: Always", "imagePullPolicy: IfNotPresent")
    # The server's readiness probe comes every 30 s: whoever restarts it here would wait for the next one.
    text = text.replace("periodSeconds: 30", "periodSeconds: 2")
    # A flag that Debian 12's cp does not know yet.
    return text.replace("--update=none", "-n")


def recipe(archives: Iterable[Path]) -> str:
    """Return what a sandbox is made of: versions, Argo CD's manifests, and images, whose names tell their contents."""
    parts = (manifests(), *(path.name for path in archives))
    unusual = tools.KUBERNETES not in list(tools.KUBERNETES_LINES)[:1]
    versions = f"{tools.ARGOCD} on {tools.KUBERNETES}" if unusual else tools.ARGOCD
    return f"{versions} {hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"


def apply(made_of: str) -> None:
    """Create what is missing; settings that somebody changed in argocd-cm stay (the manifests leave them out)."""
    if not kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name"):
        kubectl("create", "namespace", NAMESPACE)
    kubectl("-n", NAMESPACE, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifests())
    kubectl("-n", NAMESPACE, "scale", "deployment", *_OFF, "--replicas=0")
    # Sources are charts from a repository: no signed commits, so no gpg and the scripts around it.
    kubectl("-n", NAMESPACE, "set", "env", "deployment/argocd-repo-server", "ARGOCD_GPG_ENABLED=false")
    _RECIPE.write_text(made_of)


def is_wanted(made_of: str) -> bool:
    """Tell whether the sandbox is what the environment (SANDBOX_*) and this checkout's recipes ask for."""
    return _RECIPE.exists() and _RECIPE.read_text() == made_of


def wait() -> None:
    """Wait until Argo CD's server answers and its first admin password is there."""
    wait_for("Argo CD's server", 240, _ready, every=0.5)


def _ready() -> bool:
    ready = kubectl(
        "-n", NAMESPACE, "get", "deployment", "argocd-server", "-o", "jsonpath={.status.readyReplicas}", check=False
    )
    return ready == "1" and bool(
        kubectl(
            "-n",
            NAMESPACE,
            "get",
            "secret",
            "argocd-initial-admin-secret",
            "--ignore-not-found",
            "-o",
            "name",
            check=False,
        )
    )
