"""Argo CD as its users install it: the manifests of its own module, with images made here."""

import re

from tests.sandbox import images, tools
from tests.sandbox.controlplane import kubectl
from tests.sandbox.paths import STATE
from tests.sandbox.shell import wait_for

NAMESPACE = "argocd"
_OFF = ("argocd-dex-server", "argocd-notifications-controller", "argocd-applicationset-controller")
"""Nothing here needs SSO, notifications or application sets."""
_VERSION = STATE / "argocd-version"


def apply() -> None:
    """Create what is missing; settings that somebody changed in argocd-cm stay (the manifests leave them out)."""
    folder = tools.module_folder(tools.ARGOCD_LINES[tools.ARGOCD], "github.com/argoproj/argo-cd/v3")
    manifests = folder / "manifests" / "install.yaml"
    text = re.sub(r"image: \S*argoproj/argocd:\S+", f"image: {images.ARGOCD_IMAGE}", manifests.read_text())
    text = re.sub(r"image: \S*/redis:\S+", f"image: {images.REDIS_IMAGE}", text)
    text = text.replace("imagePullPolicy: Always", "imagePullPolicy: IfNotPresent")
    # The server's readiness probe comes every 30 s: whoever restarts it here would wait for the next one.
    text = text.replace("periodSeconds: 30", "periodSeconds: 2")
    # A flag that Debian 12's cp does not know yet.
    text = text.replace("--update=none", "-n")
    if not kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name"):
        kubectl("create", "namespace", NAMESPACE)
    kubectl("-n", NAMESPACE, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    kubectl("-n", NAMESPACE, "scale", "deployment", *_OFF, "--replicas=0")
    # Sources are charts from a repository: no signed commits, so no gpg and the scripts around it.
    kubectl("-n", NAMESPACE, "set", "env", "deployment/argocd-repo-server", "ARGOCD_GPG_ENABLED=false")
    _VERSION.write_text(tools.ARGOCD)


def is_wanted() -> bool:
    """Tell whether the sandbox has the version of Argo CD that SANDBOX_ARGOCD asks for."""
    return _VERSION.exists() and _VERSION.read_text() == tools.ARGOCD


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
