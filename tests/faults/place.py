"""What a run of the hook outside a pod needs (account, namespace, identity, files), and the run itself."""

import base64
import json
import os
import secrets
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme

from hook import cluster, store
from hook.argocd import ArgoCD
from hook.cluster import ConflictError, RealCluster
from hook.errors import AuthError
from hook.keyid import Owner, fingerprint
from hook.retry import Deadline
from hook.settings import Server
from hook.transport import Transport
from hook.values import chart_defaults, merge
from tests.faults.proxy import FaultProxy
from tests.sandbox.network import NODE_IP
from tests.sandbox.paths import KUBECONFIG

CONFIG = os.environ.get("E2E_KUBECONFIG") or str(KUBECONFIG)
CM = "/api/v1/namespaces/argocd/configmaps/argocd-cm"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"
RULES = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
    {
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": [store.NAME],
        "verbs": ["get", "update", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]
"""The hook's Role (DESIGN section 3); ``test_privileges`` compares it with the chart's."""


class Site:
    """The cluster and its Argo CD, as their admin, and the accounts made there."""

    def __init__(self) -> None:
        self.prefix = f"faults-{secrets.token_hex(3)}"
        self.deadline = Deadline(3600)
        self.cluster: RealCluster = cluster.connect(self.deadline, CONFIG)
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
        self.authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.tls)

    def account(self, capabilities: str = "apiKey, login") -> tuple[str, str]:
        """Make an Argo CD account; return its name and its password, a canary."""
        name = f"f{secrets.token_hex(4)}"
        password = f"canary-{secrets.token_urlsafe(18)}"
        self.cluster.patch(CM, {"data": {f"accounts.{name}": capabilities}})
        self._cm_keys.append(f"accounts.{name}")
        body = {"name": name, "newPassword": password, "currentPassword": self._admin}
        for attempt in range(50):  # Argo CD follows its ConfigMap by an informer
            try:
                self.argocd._send("PUT", "/api/v1/account/password", bearer=self._session, body=body, timeout=10)
                break
            except AuthError:
                if attempt == 49:
                    raise
                time.sleep(0.2)
        return name, password

    def namespace(self) -> str:
        """Make a namespace."""
        name = f"{self.prefix}-{len(self._namespaces)}"
        self.cluster.create("/api/v1/namespaces", {"metadata": {"name": name}})
        self._namespaces.append(name)
        return name

    def close(self) -> None:
        """Remove accounts and namespaces."""
        self.cluster.patch(CM, {"data": dict.fromkeys(self._cm_keys)})
        for namespace in self._namespaces:
            self.cluster.delete(f"/api/v1/namespaces/{namespace}")
        self.argocd.logout(self._session)
        self.argocd.close()
        self.cluster._client.close()


def identity(cluster: RealCluster, namespace: str) -> str:
    """Make the hook's ServiceAccount with the chart's Role in ``namespace``; return a token of it."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    cluster.create(accounts, {"metadata": {"name": "hook"}})
    cluster.create(f"{RBAC}/{namespace}/roles", {"metadata": {"name": "hook"}, "rules": RULES})
    cluster.create(
        f"{RBAC}/{namespace}/rolebindings",
        {
            "metadata": {"name": "hook"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "hook"},
            "subjects": [{"kind": "ServiceAccount", "name": "hook", "namespace": namespace}],
        },
    )
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token: str = cluster.create(f"{accounts}/hook/token", request)["status"]["token"]
    return token


@dataclass
class Result:
    """How a run ended, and what it said and asked."""

    code: int
    said: str
    seen: list[str]
    hit: bool
    seconds: float


@dataclass
class Release:
    """One release in a namespace of its own (``argocd-token`` is one per namespace), with its files."""

    site: Site
    folder: Path
    account: str
    password: str
    namespace: str
    token: str
    name: str = "runtime"
    timeout: int = 20
    sessions: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    said: str = ""
    server: dict[str, Any] = field(default_factory=dict)
    cluster: str = ""
    """Set: another cluster, of the same API server, whose CA bundle differs from the real one's."""

    def __post_init__(self) -> None:
        for part in ("settings", "credential", "ca", "key", "serviceaccount"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self._ca = self.site.authority.cert_pem.bytes()
        if self.cluster:
            self._ca += trustme.CA(organization_name=self.cluster).cert_pem.bytes()
        (self.folder / "serviceaccount" / "ca.crt").write_bytes(self._ca)
        (self.folder / "serviceaccount" / "token").write_text(self.token)
        (self.folder / "ca" / "ca.crt").write_bytes(self._ca)
        (self.folder / "credential" / "value").write_text(self.password)

    @property
    def owner(self) -> Owner:
        return Owner(fingerprint(self._ca), self.namespace, self.name)

    def secret(self) -> dict[str, Any] | None:
        return self.site.cluster.get(cluster.secret_path(self.namespace, store.NAME))

    def entry(self) -> store.Entry | None:
        return store.content(self.secret(), self.name).current

    def live(self) -> list[str]:
        """Return the release's keys as Argo CD lists them."""
        account = self.site.argocd.account(self.account, self.site._session)
        return [key.id for key in account.keys if self.owner.owns(key.id)]

    def live_sessions(self) -> list[str]:
        """Return the sessions of this release's runs that Argo CD still accepts."""
        return [s for s in self.sessions if _works(self.site.argocd, self.account, s)]

    def forget(self, name: str) -> None:
        """Become another release: no Secret, no memory."""
        try:
            self.site.cluster.delete(cluster.secret_path(self.namespace, store.NAME))
        except ConflictError:
            self.site.cluster.delete(cluster.secret_path(self.namespace, store.NAME))
        for key_id in self.live():
            self.site.argocd.delete_key(self.account, key_id, self.site._session)
        self.name, self.sessions, self.keys, self.said = name, [], [], ""

    def run(self, fault: tuple[str, int, str] = ("", 0, "")) -> Result:
        """Run ``ensure`` as a pod would, the Secret mounted as it is now, behind two proxies of its own."""
        argocd = FaultProxy("argocd", self.site.argocd_at, self.site.tls)
        kubernetes = FaultProxy("kubernetes", self.site.apiserver, self.site.tls)
        argocd.fault = kubernetes.fault = fault
        try:
            process = self.start(argocd.port, kubernetes.port)
            argocd.kill = kubernetes.kill = process.kill
            began = time.monotonic()
            said, _ = process.communicate(timeout=self.timeout + 30)
        finally:
            argocd.close()
            kubernetes.close()
        self.sessions += argocd.sessions
        self.keys += argocd.keys
        self.said += said
        hit = argocd.hit or kubernetes.hit
        return Result(process.returncode, said, argocd.seen + kubernetes.seen, hit, time.monotonic() - began)

    def start(self, argocd_port: int, kubernetes_port: int) -> "subprocess.Popen[str]":
        """Start ``ensure`` against two ports of the loopback."""
        server = {"url": f"https://127.0.0.1:{argocd_port}", **self.server}
        # Each proxy has a port of its own, and a key belongs to an address: what the Secret says moves along.
        (self.folder / "settings" / "settings.json").write_text(json.dumps(self._values(server)))
        self._mount(server["url"])
        return subprocess.Popen(
            [sys.executable, "-m", "hook", "ensure"],
            env={
                **{k: os.environ[k] for k in ("PATH", "HOME") if k in os.environ},
                "GITOPS_RUNTIME_AUTH_FILES": str(self.folder),
                "GITOPS_RUNTIME_AUTH_SERVICE_ACCOUNT": str(self.folder / "serviceaccount"),
                "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                "KUBERNETES_SERVICE_PORT": str(kubernetes_port),
                "RELEASE_NAME": self.name,
                "RELEASE_NAMESPACE": self.namespace,
                "POD_NAME": "hook-pod",
                "CHART": "gitops-runtime-auth-0.1.0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _values(self, server: dict[str, Any]) -> dict[str, Any]:
        auth = {
            "type": "password",
            "username": self.account,
            "passwordSecretKeyRef": {"name": "mine", "key": "password"},
        }
        block = {"server": server, "auth": auth}
        given = {"global": {"external-arg-cd": block}, "hook": {"timeout": self.timeout, "logLevel": "debug"}}
        return merge({"hook": chart_defaults()["hook"]}, given)

    def _mount(self, url: str) -> None:
        for old in (self.folder / "key").iterdir():
            old.unlink()
        secret = self.secret()
        if secret is None:
            return
        data = {k: base64.b64decode(v) for k, v in secret["data"].items()}
        state = json.loads(data[store.STATE])
        data[store.STATE] = json.dumps({**state, "url": url}).encode()
        secret["data"] = {k: base64.b64encode(v).decode() for k, v in data.items()}
        self.site.cluster.replace(cluster.secret_path(self.namespace, store.NAME), secret)
        for name, value in data.items():
            (self.folder / "key" / name).write_bytes(value)


def _works(argocd: ArgoCD, account: str, bearer: str) -> bool:
    try:
        argocd.account(account, bearer)
    except AuthError:
        return False
    return True
