"""A release on a real cluster: its namespace, its Argo CD account, helm, and what Argo CD says of its keys."""

import base64
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dev.accounts import set_password
from dev.sandbox import tools
from dev.sandbox.paths import KUBECONFIG
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.api import RealCluster, connect
from gitops_runtime_auth.kube.cluster import Object, secret_path
from gitops_runtime_auth.kube.secret import Entry
from gitops_runtime_auth.preflight.access import Given, Laptop
from gitops_runtime_auth.retry import Deadline

# helm, kubectl and argocd are the pinned ones, whatever else is installed.
os.environ["PATH"] = f"{tools.CURRENT}:{os.environ['PATH']}"

CONFIG = os.environ.get("E2E_KUBECONFIG") or str(KUBECONFIG)
OUTSIDE = os.environ.get("E2E_ARGOCD_URL", "")
IMAGE = os.environ.get("E2E_IMAGE", "localhost/gitops-runtime-auth:dev")
CHART = str(Path(__file__).parents[2] / "chart")
CM = "/api/v1/namespaces/argocd/configmaps/argocd-cm"
BLOCK = "global.external-arg-cd"
CONSUMERS = ("event-reporter", "gitops-operator", "sources-server")


class Runtime:
    """One release, ``r``, in a namespace of its own, with an account of its own."""

    def __init__(self, stack: ExitStack, name: str) -> None:
        self.name = f"{name}-{secrets.token_hex(3)}"
        self.cluster: RealCluster = connect(Deadline(3600), CONFIG)
        self._laptop = Laptop(Given(kubeconfig=CONFIG, server=OUTSIDE, timeout=3600), Deadline(3600), stack, "argocd")
        url = OUTSIDE or "https://argocd-server"
        self._laptop.open_way(url, outside=False)
        self._argocd = self._laptop.connect(Server(url, insecure_skip_verify=True), None)
        admin = self.cluster.get("/api/v1/namespaces/argocd/secrets/argocd-initial-admin-secret") or {}
        self.admin_password = base64.b64decode(admin["data"]["password"]).decode()
        self.session = self.argocd.login("admin", self.admin_password)
        self.cluster.create("/api/v1/namespaces", {"metadata": {"name": self.name}})
        source = self.cluster.get("/api/v1/namespaces/argocd/secrets/argocd-secret") or {}
        self.secret("argocd-ca", **{"ca.crt": base64.b64decode(source["data"]["tls.crt"]).decode()})
        self._made: list[str] = []
        self.account(self.name)

    @property
    def argocd(self) -> ArgoCD:
        """The real Argo CD, which gets 10 s for each call, however long the test runs."""
        self._argocd._deadline = Deadline(10)
        return self._argocd

    def remove(self) -> None:
        """Take away everything that the test made."""
        self.argocd.logout(self.session)
        self.cluster.patch(
            CM, {"data": {k: None for n in self._made for k in (f"accounts.{n}", f"accounts.{n}.enabled")}}
        )
        self.cluster.delete(f"/api/v1/namespaces/{self.name}")

    def account(self, name: str, password: str = "") -> None:
        """Make an Argo CD account and the Secret ``name`` with its password."""
        self.cluster.patch(CM, {"data": {f"accounts.{name}": "apiKey, login"}})
        self._made.append(name)
        self.set_password(name, password or f"password-of-{name}")
        self.secret(name, password=password or f"password-of-{name}")

    def set_password(self, name: str, password: str) -> None:
        """Change the password in Argo CD alone."""
        set_password(self.argocd, self.session, self.admin_password, name, password)

    def enable(self, name: str, *, enabled: bool) -> None:
        self.cluster.patch(CM, {"data": {f"accounts.{name}.enabled": str(enabled).lower()}})

    def secret(self, name: str, **data: str) -> None:
        path = secret_path(self.name, name)
        if self.cluster.get(path):
            self.cluster.patch(path, {"stringData": data})
        else:
            self.cluster.create(secret_path(self.name), {"metadata": {"name": name}, "stringData": data})

    def sets(self, account: str = "", **values: str) -> list[str]:
        """Return helm's --set arguments; ``a__b=c`` means ``a.b=c``."""
        account, (repository, _, tag) = account or self.name, IMAGE.rpartition(":")
        given = {
            "image.repository": repository,
            "image.tag": tag,
            "keeper.interval": "2",
            f"{BLOCK}.server.svc": "argocd-server.argocd",
            f"{BLOCK}.server.caSecretKeyRef.name": "argocd-ca",
            f"{BLOCK}.server.caSecretKeyRef.key": "ca.crt",
            f"{BLOCK}.auth.username": account,
            f"{BLOCK}.auth.passwordSecretKeyRef.name": account,
            f"{BLOCK}.auth.passwordSecretKeyRef.key": "password",
            **{key.replace("__", "."): value for key, value in values.items()},
        }
        return [word for key, value in given.items() for word in ("--set", f"{key}={value}")]

    def hook_alone(self, account: str = "", **values: str) -> list[str]:
        """Return helm's --set arguments for an install of the hook and none of the Deployments."""
        off = ",".join(f"{service}.enabled=false" for service in ("app-proxy", *CONSUMERS))
        return [*self.sets(account, **values), "--set", off]

    def helm(self, *words: str, program: str = "helm", check: bool = True) -> str:
        """Run helm and return all that it printed."""
        command = [program, *words, "-n", self.name, "--kubeconfig", CONFIG]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def install(self, *sets: str, program: str = "helm", wait: bool = True) -> str:
        waits = ["--wait", "--timeout", "3m"] if wait else []
        return self.helm("upgrade", "--install", "r", CHART, *waits, *(sets or self.sets()), program=program)

    def kubectl(self, *words: str) -> str:
        """Run kubectl in the release's namespace and return what it printed."""
        command = ["kubectl", f"--kubeconfig={CONFIG}", "-n", self.name, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def key_by_hand(self, key_id: str, seconds: int = 0) -> str:
        """Make an API key as a user does with argocd account generate-token."""
        body = {"name": self.name, "id": key_id, "expiresIn": seconds}
        path = f"/api/v1/account/{self.name}/token"
        return self.argocd.send("POST", path, bearer=self.session, body=body, timeout=10).string("token")

    def key(self) -> Entry | None:
        """Return what Secret ``argocd-token`` holds."""
        return store.fetch(self.cluster, self.name, "r").current

    def keys(self, account: str = "") -> list[str]:
        """Return the ids of the account's keys, as Argo CD lists them to its admin."""
        return [key.id for key in self.argocd.account(account or self.name, self.session).keys]

    def login_failures(self) -> int:
        """Return how many logins Argo CD has refused, of all accounts, by its own count."""
        path = "/api/v1/namespaces/argocd/services/argocd-server-metrics:8083/proxy/metrics"
        found = re.search(r'^argocd_login_request_total\{status="failure"\} (\d+)', self.text(path), re.MULTILINE)
        return int(found[1]) if found else 0

    def accepts(self, entry: Entry | None) -> bool:
        try:
            return entry is not None and bool(self.argocd.account(entry.account, entry.token))
        except AuthError:
            return False

    def works(self) -> bool:
        """Tell whether the Secret holds a key that works."""
        return self.accepts(self.key())

    def one_key(self) -> bool:
        """Tell whether Argo CD lists one key of the account, the one in the Secret, and accepts it."""
        stored = store.fetch(self.cluster, self.name, "r")
        if stored.current is None or stored.previous or self.keys(stored.current.account) != [stored.current.key_id()]:
            return False
        return self.accepts(stored.current)

    def settled(self) -> bool:
        """Tell whether there is one live key and all Deployments are ready with it."""
        return self.one_key() and all(map(self.ready, ("app-proxy", *CONSUMERS)))

    def ready(self, service: str) -> bool:
        deployment = self.deployment(service)
        status = deployment.get("status") or {}
        return bool(
            status.get("observedGeneration") == deployment["metadata"]["generation"]
            and status.get("readyReplicas") == status.get("replicas") == status.get("updatedReplicas") == 1
        )

    def take(self, secret: str) -> bool:
        """Tell whether all consumers run with the key of ``secret``."""
        containers = [self.deployment(s)["spec"]["template"]["spec"]["containers"][0] for s in CONSUMERS]
        named = {e.get("value") for c in containers for e in c["env"] if e["name"] == "ARGO_CD_TOKEN_SECRET_NAME"}
        return named == {secret} and all(map(self.ready, CONSUMERS))

    def deployment(self, service: str) -> Object:
        return self.cluster.get(f"/apis/apps/v1/namespaces/{self.name}/deployments/r-{service}") or {}

    def restarted_for(self) -> set[str]:
        """Return the key ids that the consumers were restarted for."""
        templates = [self.deployment(s)["spec"]["template"]["metadata"] for s in CONSUMERS]
        return {(t.get("annotations") or {}).get("gitops-runtime-auth/key-id", "") for t in templates}

    def events(self) -> list[tuple[str, str]]:
        found: dict[str, Any] = self.cluster.get(f"/api/v1/namespaces/{self.name}/events") or {}
        return [(e["reason"], e["message"]) for e in found["items"] if e.get("reportingComponent") == store.PREFIX]

    def text(self, path: str) -> str:
        """Return what the API server answers as it is, for what its proxy passes on from a pod."""
        answer: bytes = self.cluster._send("GET", path, None, 10).read()
        return answer.decode()


@contextmanager
def runtime(name: str) -> Iterator[Runtime]:
    """Make a Runtime's surroundings and take them away again."""
    with ExitStack() as stack:
        made = Runtime(stack, name)
        try:
            yield made
        finally:
            made.remove()


def within(seconds: float, condition: Callable[[], bool], what: str = "") -> float:
    """Wait until ``condition`` holds and return how long that took; fail after ``seconds``."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what or condition}"
        time.sleep(0.1)
    return time.monotonic() - began
