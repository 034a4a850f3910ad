"""The cluster and its Argo CD, as their admin: accounts and namespaces for the releases of these tests."""

import os
import secrets
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import trustme
import yaml

from dev import site
from dev.argocd import ArgoCDError, Direct
from dev.cluster import Cluster, path_of
from dev.identity import RBAC, grant
from dev.keys import understood
from dev.runtime import within
from dev.sandbox.network import NODE_IP
from dev.sandbox.paths import KUBECONFIG
from dev.site import CM, CONFIG
from tests.faults import roles
from tests.faults.proxy import Between

__all__ = ["CM", "CONFIG", "Site"]

ACCOUNTS = path_of("argocd", "secrets", "argocd-secret")


def _argocd() -> tuple[str, int]:
    """Return the address at which Argo CD is dialled: its Service's, which the sandbox's network knows."""
    if given := os.environ.get("FAULTS_ARGOCD"):
        host, _, port = given.partition(":")
        return host, int(port)
    service = Cluster(CONFIG, inside()).get("/api/v1/namespaces/argocd/services/argocd-server") or {}
    return service["spec"]["clusterIP"], 443


def inside() -> str:
    """Return the API server's address in the sandbox's network: the kubeconfig names the way in from the host."""
    return f"https://{NODE_IP}:6443" if str(KUBECONFIG) == CONFIG else ""


def kubeconfig() -> str:
    """Return an admin's kubeconfig with the API server's address as these tests reach it."""
    found = yaml.safe_load(Path(CONFIG).read_text())
    for cluster in found["clusters"]:
        cluster["cluster"]["server"] = inside() or cluster["cluster"]["server"]
    return str(yaml.safe_dump(found))


class Site(site.Site):
    """The cluster and its Argo CD, and what these tests make there."""

    def __init__(self) -> None:
        self.argocd_at = _argocd()
        self.way = Direct(f"https://{self.argocd_at[0]}:{self.argocd_at[1]}")
        super().__init__(self.way, inside())
        self.prefix = f"faults-{secrets.token_hex(3)}"
        address = urlsplit(self.cluster.server)
        self.apiserver = (str(address.hostname), address.port or 443)
        self._namespaces = 0
        self._between: list[Between] = []
        self.authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.tls)

    def between(self, tls: ssl.SSLContext | None = None) -> Between:
        """Make the proxies that stand before Argo CD (with the certificate in ``tls``) and before Kubernetes."""
        made = Between(self.argocd_at, self.apiserver, self.tls, tls)
        self._between.append(made)
        return made

    def new_account(self, capabilities: str = "apiKey, login") -> tuple[str, str]:
        """Make an Argo CD account; return its name and its password, a canary."""
        name = f"f{secrets.token_hex(4)}"
        password = f"canary-{secrets.token_urlsafe(18)}"
        self.account(name, password, capabilities)
        return name, password

    def accepts(self, bearer: str) -> bool:
        """Tell whether Argo CD takes a key or session for its own account."""
        return self.argocd.accepts(understood(bearer).account, bearer)

    def locked_out(self, account: str, password: str) -> bool:
        """Tell whether Argo CD refuses the right password: by its own count the account had five failed logins."""
        try:
            self.argocd.logout(self.argocd.login(account, password))
        except ArgoCDError:
            return True
        return False

    def wipe_keys(self, account: str) -> None:
        """Take all keys out of an account, as whoever owns argocd-secret does that does not know of them."""
        self.cluster.patch(ACCOUNTS, {"data": {f"accounts.{account}.tokens": None}})

    def new_namespace(self) -> str:
        """Make a namespace."""
        self._namespaces += 1
        name = f"{self.prefix}-{self._namespaces}"
        self.namespace(name)
        return name

    def secret(self, namespace: str, name: str, **data: str) -> None:
        """Make a Secret of the user's own."""
        self.cluster.create(path_of(namespace, "secrets"), {"metadata": {"name": name}, "stringData": data})

    def consumers(self, namespace: str, *names: str) -> None:
        """Make Deployments that take the key, without pods: a rollout is done once its controller saw it."""
        for name in names:
            labels = {"app": name}
            pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none.invalid/c"}]}}
            spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
            self.cluster.create(deployments(namespace), {"metadata": {"name": name}, "spec": spec})

    def roll_out(self, namespace: str) -> None:
        """Change the consumer's pods, as helm upgrade does with new settings, and wait until they are rolled out."""
        time.sleep(1.1)  # a rollout's time is in whole seconds, and it must come after the key's
        begun = {"spec": {"template": {"metadata": {"annotations": {"upgrade": secrets.token_hex(4)}}}}}
        path = f"{deployments(namespace)}/{roles.CONSUMER}"
        generation = self.cluster.patch(path, begun)["metadata"]["generation"]

        def seen() -> bool:
            status = (self.cluster.get(path) or {}).get("status") or {}
            return bool(status.get("observedGeneration", 0) >= generation)

        within(30, seen, "a rollout")

    def let_into_argocds_namespace(self, namespace: str) -> None:
        """Bind what ``hook.enableApiKey`` needs to the ``ensure`` of ``namespace``."""
        name = f"{namespace}-enable"
        grant(self.cluster, "argocd", name, roles.in_argocd(), (namespace, "ensure"))
        self.goes_with_it(f"{RBAC}/argocd/roles/{name}", f"{RBAC}/argocd/rolebindings/{name}")

    def close(self) -> None:
        """Take away everything that was made."""
        for between in self._between:
            between.close()
        super().close()


def deployments(namespace: str) -> str:
    """Return the path of a namespace's Deployments."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"
