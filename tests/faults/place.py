"""The cluster and its Argo CD, as their admin: accounts and namespaces for the releases of these tests."""

import base64
import os
import secrets
import ssl
import time
from urllib.parse import urlsplit

import trustme

from dev.accounts import set_password
from dev.sandbox.network import NODE_IP
from dev.sandbox.paths import KUBECONFIG
from gitops_runtime_auth.argocd import token as tokens
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.kube import api as apiserver
from gitops_runtime_auth.kube.api import RealCluster
from gitops_runtime_auth.retry import Deadline
from tests.faults.roles import CONSUMER, IN_ARGOCD, RBAC, grant, identity

__all__ = ["Site", "identity"]

CONFIG = os.environ.get("E2E_KUBECONFIG") or str(KUBECONFIG)
CM = "/api/v1/namespaces/argocd/configmaps/argocd-cm"


class Site:
    """The cluster and its Argo CD, and the accounts made there."""

    def __init__(self) -> None:
        self.prefix = f"faults-{secrets.token_hex(3)}"
        self.deadline = Deadline(4 * 3600)
        self.cluster: RealCluster = apiserver.connect(self.deadline, CONFIG)
        configured = urlsplit(self.cluster._client.configuration.host)
        # The sandbox's kubeconfig names the way in from the host, which is not there inside its network.
        inside = str(KUBECONFIG) == CONFIG
        self.apiserver = (NODE_IP, 6443) if inside else (str(configured.hostname), configured.port or 443)
        if inside:
            self.cluster._client.configuration.host = f"https://{NODE_IP}:6443"
        given = os.environ.get("FAULTS_ARGOCD")
        if given:
            host, _, port = given.partition(":")
            self.argocd_at = (host, int(port))
        else:
            service = self.cluster.get("/api/v1/namespaces/argocd/services/argocd-server") or {}
            self.argocd_at = (service["spec"]["clusterIP"], 443)
        secret = self.cluster.get("/api/v1/namespaces/argocd/secrets/argocd-initial-admin-secret") or {}
        self._admin = base64.b64decode(secret["data"]["password"]).decode()
        direct = Server(f"https://{self.argocd_at[0]}:{self.argocd_at[1]}", insecure_skip_verify=True)
        self.argocd = ArgoCD(Transport(direct), self.deadline)
        self._session = self.argocd.login("admin", self._admin)
        self._cm_keys: list[str] = []
        self._namespaces: list[str] = []
        self._granted: list[str] = []
        self.authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.tls)

    def account(self, capabilities: str = "apiKey, login") -> tuple[str, str]:
        """Make an Argo CD account; return its name and its password, a canary."""
        name = f"f{secrets.token_hex(4)}"
        password = f"canary-{secrets.token_urlsafe(18)}"
        self.cluster.patch(CM, {"data": {f"accounts.{name}": capabilities}})
        self._cm_keys.append(f"accounts.{name}")
        set_password(self.argocd, self._session, self._admin, name, password)
        return name, password

    def give(self, account: str, capabilities: str) -> None:
        """Set an account's capabilities and wait until Argo CD shows them."""
        self.cluster.patch(CM, {"data": {f"accounts.{account}": capabilities}})
        wanted = frozenset(capabilities.split(", "))
        until = Deadline(30)
        while self.argocd.account(account, self._session).capabilities != wanted:
            assert until.left(), f"Argo CD does not show {capabilities} for {account}"
            time.sleep(0.1)

    def accepts(self, bearer: str) -> bool:
        """Tell whether Argo CD takes a key or session for its own account."""
        claims = tokens.read(bearer)
        try:
            self.argocd.account(claims.account if claims else "", bearer)
        except AuthError:
            return False
        return True

    def namespace(self) -> str:
        """Make a namespace."""
        name = f"{self.prefix}-{len(self._namespaces)}"
        self.cluster.create("/api/v1/namespaces", {"metadata": {"name": name}})
        self._namespaces.append(name)
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
        path, until = f"{_deployments(namespace)}/{CONSUMER}", Deadline(30)
        generation = self.cluster.patch(path, begun)["metadata"]["generation"]
        while ((self.cluster.get(path) or {}).get("status") or {}).get("observedGeneration", 0) < generation:
            assert until.left(), "no rollout"
            time.sleep(0.1)

    def let_into_argocds_namespace(self, namespace: str) -> None:
        """Bind what ``hook.enableApiKey`` needs to the ``ensure`` of ``namespace``."""
        name = f"{namespace}-enable"
        grant(self.cluster, "argocd", name, IN_ARGOCD, (namespace, "ensure"))
        self._granted.append(name)

    def close(self) -> None:
        """Remove accounts, namespaces and rights."""
        self.cluster.patch(CM, {"data": dict.fromkeys(self._cm_keys)})
        for name in self._granted:
            self.cluster.delete(f"{RBAC}/argocd/rolebindings/{name}")
            self.cluster.delete(f"{RBAC}/argocd/roles/{name}")
        for namespace in self._namespaces:
            self.cluster.delete(f"/api/v1/namespaces/{namespace}")
        self.argocd.logout(self._session)
        self.argocd.close()
        self.cluster._client.close()


def _deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"
