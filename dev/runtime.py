"""Makes a release of the chart on a real cluster, with namespace and Argo CD account, and looks at its key."""

import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dev.cluster import Object, decoded, path_of
from dev.keys import StoredKey, stored
from dev.site import CHART, CM, CONFIG, IMAGE, Site

__all__ = ["BLOCK", "CHART", "CM", "CONFIG", "CONSUMERS", "IMAGE", "Runtime", "runtime", "within"]

BLOCK = "global.external-arg-cd"
CONSUMERS = ("event-reporter", "gitops-operator", "sources-server")
COMPONENT = "gitops-runtime-auth"
"""What the product's Events name as their reporter."""


class Runtime(Site):
    """One release, ``r``, in a namespace of its own, with an account of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = f"{name}-{secrets.token_hex(3)}"
        self.namespace(self.name)
        self.secret("argocd-ca", **{"ca.crt": decoded(self.cluster, "argocd", "argocd-secret")["tls.crt"]})
        self.account(self.name)

    def account(self, name: str, password: str = "", capabilities: str = "apiKey, login") -> None:
        """Make an Argo CD account, and the Secret ``name`` with its password."""
        super().account(name, password, capabilities)
        self.secret(name, password=password or f"password-of-{name}")

    def secret(self, name: str, **data: str) -> None:
        """Make a Secret in the release's namespace, or change one."""
        path = path_of(self.name, "secrets", name)
        if self.cluster.get(path):
            self.cluster.patch(path, {"stringData": data})
        else:
            self.cluster.create(path_of(self.name, "secrets"), {"metadata": {"name": name}, "stringData": data})

    def sets(self, account: str = "", **values: str) -> list[str]:
        """Return helm's --set arguments; ``a__b=c`` means ``a.b=c``."""
        account, (repository, _, tag) = account or self.name, IMAGE.rpartition(":")
        given = {
            "image.repository": repository,
            "image.tag": tag,
            "keeper.interval": "2",
            "keeper.gracePeriod": "5",
            "hook.waitForSecrets": "3",
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
        """Return helm's --set arguments for an install of the hook and the keeper, and none of the Runtime."""
        return [*self.sets(account, **values), "--set", "runtime.enabled=false"]

    def without_keeper(self, service: str = "app-proxy") -> None:
        """End the keeper, which runs in the Deployment of ``service``, so that nobody issues a key but the hook."""
        self.kubectl("scale", f"deployment/r-{service}", "--replicas=0")
        within(60, lambda: not self.deployment(service)["status"].get("replicas"))
        pods = f"{path_of(self.name, 'pods')}?labelSelector=app.kubernetes.io/component={service}"
        within(90, lambda: not (self.cluster.get(pods) or {})["items"])

    def helm(self, *words: str, program: str = "helm", check: bool = True) -> str:
        """Run helm and return all that it printed."""
        command = [program, *words, "-n", self.name, "--kubeconfig", CONFIG]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def install(self, *sets: str, program: str = "helm", wait: bool = True, check: bool = True) -> str:
        """Install or upgrade the release and return what helm printed."""
        waits = ["--wait", "--timeout", "3m"] if wait else []
        return self.helm(
            "upgrade", "--install", "r", CHART, *waits, *(sets or self.sets()), program=program, check=check
        )

    def kubectl(self, *words: str, check: bool = True) -> str:
        """Run kubectl in the release's namespace and return what it printed."""
        command = ["kubectl", f"--kubeconfig={CONFIG}", "-n", self.name, *words]
        return subprocess.run(command, capture_output=True, text=True, check=check).stdout

    def key_by_hand(self, key_id: str, seconds: int = 0) -> str:
        """Make an API key as a user does with argocd account generate-token."""
        return self.argocd.create_key(self.name, key_id, self.session, seconds)

    def revoke(self, key: StoredKey) -> None:
        """Revoke a key behind the release's back."""
        self.argocd.delete_key(key.account, key.id, self.session)

    def key(self) -> StoredKey | None:
        """Return what the release's Secret holds, None if there is no Secret or no key in it."""
        return stored(self.cluster, self.name)

    def keys(self, account: str = "") -> list[str]:
        """Return the ids of the account's keys, as Argo CD lists them to its admin."""
        return [key.id for key in self.argocd.account(account or self.name, self.session).keys]

    def logins(self) -> int:
        """Return how many logins Argo CD has seen, of all accounts, by its own count."""
        return sum(self._logins_by_status().values())

    def login_failures(self) -> int:
        """Return how many logins Argo CD has refused, of all accounts, by its own count."""
        return self._logins_by_status().get("failure", 0)

    def _logins_by_status(self) -> dict[str, int]:
        text = self.cluster.text(f"{path_of('argocd', 'services', 'argocd-server-metrics:8083')}/proxy/metrics")
        found = re.findall(r'^argocd_login_request_total\{status="(\w+)"\} (\d+)', text, re.MULTILINE)
        assert found, "Argo CD counts no logins: nothing can be concluded from that"
        assert {status for status, _ in found} <= {"success", "failure"}, found
        return {status: int(count) for status, count in found}

    def accepts(self, key: StoredKey | None) -> bool:
        """Tell whether Argo CD takes the key for its account."""
        return key is not None and self.argocd.accepts(key.account, key.token)

    def works(self) -> bool:
        """Tell whether the Secret holds a key that works."""
        return self.accepts(self.key())

    def one_key(self) -> bool:
        """Tell whether Argo CD lists one key of the account, the one in the Secret, and accepts it."""
        key = self.key()
        return key is not None and not key.previous and self.keys(key.account) == [key.id] and self.accepts(key)

    def settled(self) -> bool:
        """Tell whether there is one live key and all Deployments are ready with it."""
        return self.one_key() and all(map(self.ready, ("app-proxy", *CONSUMERS)))

    def ready(self, service: str) -> bool:
        """Tell whether the Deployment of ``service`` is rolled out, with its one Pod ready."""
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
        """Return the Deployment of ``service``, empty if there is none."""
        return self.cluster.get(f"/apis/apps/v1/namespaces/{self.name}/deployments/r-{service}") or {}

    def restarted_for(self) -> set[str]:
        """Return the key ids that the consumers were restarted for."""
        templates = [self.deployment(s)["spec"]["template"]["metadata"] for s in CONSUMERS]
        return {(t.get("annotations") or {}).get("gitops-runtime-auth/key-id", "") for t in templates}

    def events(self) -> list[tuple[str, str]]:
        """Return reason and message of the product's Events."""
        found: dict[str, Any] = self.cluster.get(path_of(self.name, "events")) or {}
        return [(e["reason"], e["message"]) for e in found["items"] if e.get("reportingComponent") == COMPONENT]


@contextmanager
def runtime(name: str) -> Iterator[Runtime]:
    """Make a release's surroundings and take them away again."""
    made = Runtime(name)
    try:
        yield made
    finally:
        made.close()


def within(seconds: float, condition: Callable[[], bool], what: str = "") -> float:
    """Wait until ``condition`` holds and return how long that took; fail after ``seconds``."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what or condition}"
        time.sleep(0.1)
    return time.monotonic() - began
