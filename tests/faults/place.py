"""The cluster and its Argo CD, as their admin: accounts and namespaces for the releases of these tests."""

import os
import secrets
import ssl
import time
from urllib.parse import urlsplit

import trustme

from dev import site
from dev.argocd import Direct
from dev.cluster import Cluster
from dev.keys import understood
from dev.sandbox.network import NODE_IP
from dev.sandbox.paths import KUBECONFIG
from dev.site import CM, CONFIG
from tests.faults.roles import CONSUMER, IN_ARGOCD, RBAC, grant, identity

__all__ = ["CM", "CONFIG", "Site", "identity"]


def _argocd() -> tuple[str, int]:
    """Return the address at which Argo CD is dialled: its Service's, which the sandbox's network knows."""
    if given := os.environ.get("FAULTS_ARGOCD"):
        host, _, port = given.partition(":")
        return host, int(port)
    service = Cluster(CONFIG, _inside()).get("/api/v1/namespaces/argocd/services/argocd-server") or {}
    return service["spec"]["clusterIP"], 443


def _inside() -> str:
    """Return the API server's address in the sandbox's network: the kubeconfig names the way in from the host."""
    return f"https://{NODE_IP}:6443" if str(KUBECONFIG) == CONFIG else ""


class Site(site.Site):
    """The cluster and its Argo CD, and the accounts made there."""

    def __init__(self) -> None:
        self.argocd_at = _argocd()
        self.way = Direct(f"https://{self.argocd_at[0]}:{self.argocd_at[1]}")
        super().__init__(self.way, _inside())
        self.prefix = f"faults-{secrets.token_hex(3)}"
        address = urlsplit(self.cluster.server)
        self.apiserver = (str(address.hostname), address.port or 443)
        self._namespaces = 0
        self.authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.tls)

    def new_account(self, capabilities: str = "apiKey, login") -> tuple[str, str]:
        """Make an Argo CD account; return its name and its password, a canary."""
        name = f"f{secrets.token_hex(4)}"
        password = f"canary-{secrets.token_urlsafe(18)}"
        self.account(name, password, capabilities)
        return name, password

    def accepts(self, bearer: str) -> bool:
        """Tell whether Argo CD takes a key or session for its own account."""
        return self.argocd.accepts(understood(bearer).account, bearer)

    def new_namespace(self) -> str:
        """Make a namespace."""
        self._namespaces += 1
        name = f"{self.prefix}-{self._namespaces}"
        self.namespace(name)
        return name

    def consumer(self, namespace: str) -> None:
        """Make a Deployment that takes the key, without pods: a rollout is done once its controller saw it."""
        labels = {"app": CONSUMER}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none.invalid/c"}]}}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
        self.cluster.create(_deployments(namespace), {"metadata": {"name": CONSUMER}, "spec": spec})

    def roll_out(self, namespace: str) -> None:
        """Change the consumer's pods, as helm upgrade does with new settings, and wait until they are rolled out."""
        time.sleep(1.1)  # a rollout's time is in whole seconds, and it must come after the key's
        begun = {"spec": {"template": {"metadata": {"annotations": {"upgrade": secrets.token_hex(4)}}}}}
        path, until = f"{_deployments(namespace)}/{CONSUMER}", time.monotonic() + 30
        generation = self.cluster.patch(path, begun)["metadata"]["generation"]
        while ((self.cluster.get(path) or {}).get("status") or {}).get("observedGeneration", 0) < generation:
            assert time.monotonic() < until, "no rollout"
            time.sleep(0.1)

    def let_into_argocds_namespace(self, namespace: str) -> None:
        """Bind what ``hook.enableApiKey`` needs to the ``ensure`` of ``namespace``."""
        name = f"{namespace}-enable"
        grant(self.cluster, "argocd", name, IN_ARGOCD, (namespace, "ensure"))
        self.goes_with_it(f"{RBAC}/argocd/roles/{name}", f"{RBAC}/argocd/rolebindings/{name}")


def _deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"
