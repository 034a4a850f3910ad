"""Connects to the tests' cluster and its Argo CD, with an admin's rights in both."""

import os
import time
from pathlib import Path

from dev.argocd import ArgoCD, Direct, Forward, Way
from dev.cluster import Cluster, decoded, path_of
from dev.sandbox import tools
from dev.sandbox.paths import KUBECONFIG

# helm, kubectl and argocd are the pinned ones, whatever else is installed.
os.environ["PATH"] = f"{tools.CURRENT}:{os.environ['PATH']}"

CONFIG = os.environ.get("E2E_KUBECONFIG") or str(KUBECONFIG)
OUTSIDE = os.environ.get("E2E_ARGOCD_URL", "")
"""Argo CD's address as seen from here, where Pods cannot be forwarded to."""
IMAGE = os.environ.get("E2E_IMAGE", "localhost/gitops-runtime-auth:dev")
CHART = str(Path(__file__).parents[1] / "chart")
CM = path_of("argocd", "configmaps", "argocd-cm")


class Site:
    """A cluster with Argo CD. It remembers what was made through it and takes that away again."""

    def __init__(self, way: Way | None = None, server: str = "") -> None:
        """Log in as Argo CD's admin, by ``way`` if it is given; ``server`` replaces the kubeconfig's API server."""
        self.cluster = Cluster(CONFIG, server)
        self.argocd = ArgoCD(way or (Direct(OUTSIDE) if OUTSIDE else Forward(CONFIG)))
        self.admin_password = decoded(self.cluster, "argocd", "argocd-initial-admin-secret")["password"]
        self.session = self.argocd.login("admin", self.admin_password)
        self._settings: list[str] = []
        self._paths: list[str] = []

    def account(self, name: str, password: str = "", capabilities: str = "apiKey, login") -> None:
        """Make an Argo CD account; its password is ``password-of-NAME`` unless another is given."""
        self.cluster.patch(CM, {"data": {f"accounts.{name}": capabilities}})
        self._settings += [f"accounts.{name}", f"accounts.{name}.enabled"]
        self.set_password(name, password or f"password-of-{name}")

    def set_password(self, name: str, password: str) -> None:
        """Change an account's password in Argo CD alone."""
        self.argocd.set_password(name, password, self.session, self.admin_password)

    def give(self, account: str, capabilities: str) -> None:
        """Set an account's capabilities and wait until Argo CD shows them."""
        self.cluster.patch(CM, {"data": {f"accounts.{account}": capabilities}})
        wanted = frozenset(capabilities.replace(" ", "").split(","))
        until = time.monotonic() + 30
        while self.argocd.account(account, self.session).capabilities != wanted:
            assert time.monotonic() < until, f"Argo CD does not show {capabilities} for {account}"
            time.sleep(0.1)

    def enable(self, account: str, *, enabled: bool) -> None:
        """Switch an account on or off, and wait until Argo CD shows that."""
        self.cluster.patch(CM, {"data": {f"accounts.{account}.enabled": str(enabled).lower()}})
        until = time.monotonic() + 30
        while self.argocd.account(account, self.session).enabled != enabled:
            assert time.monotonic() < until, f"Argo CD does not show enabled={enabled} for {account}"
            time.sleep(0.1)

    def create(self, path: str, body: dict[str, object]) -> str:
        """Create an object that goes with the site and return its own path."""
        own = f"{path}/{self.cluster.create(path, body)['metadata']['name']}"
        self.goes_with_it(own)
        return own

    def goes_with_it(self, *paths: str) -> None:
        """Remember objects that something else made: they are deleted at the end."""
        self._paths += paths

    def namespace(self, name: str) -> None:
        """Make a namespace that goes with the site."""
        self.create("/api/v1/namespaces", {"metadata": {"name": name}})

    def environment(self) -> dict[str, str]:
        """Return the environment of somebody who has run ``argocd login`` as the admin, by port-forward."""
        return {
            **os.environ,
            "KUBECONFIG": CONFIG,
            "ARGOCD_AUTH_TOKEN": self.session,
            "ARGOCD_OPTS": "--port-forward --port-forward-namespace argocd --insecure",
        }

    def close(self) -> None:
        """Take away everything that was made, and end the session."""
        if self._settings:
            self.cluster.patch(CM, {"data": dict.fromkeys(self._settings)})
        for path in reversed(self._paths):
            self.cluster.delete(path)
        self.argocd.logout(self.session)
        self.argocd.close()
        self.cluster.close()
