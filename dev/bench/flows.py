"""Runs what is timed: the hook's process, and the commands that people type today."""

import base64
import json
import re
from dataclasses import dataclass

from dev.bench.chamber import PROGRAM, Chamber, Timing
from dev.cluster import decoded, path_of
from dev.identity import identity
from dev.keys import KEY_SECRET
from dev.rendered import install_hook
from dev.runtime import Runtime
from dev.sandbox.network import KUBERNETES_IP
from dev.sandbox.paths import PKI

SERVER = "argocd-server.argocd"
_SPAN = re.compile(r"span (.+) ([0-9.]+) s$", re.MULTILINE)


@dataclass
class Release:
    """A namespace with what the chart would mount into its hook, laid out in the chamber."""

    chamber: Chamber
    runtime: Runtime
    namespace: str

    def __post_init__(self) -> None:
        self.files = f"/bench/{self.namespace}"
        # Debug: the spans that tell where the time goes. A hundred logins take their turn.
        sets = self.runtime.sets(hook__logLevel="debug", hook__timeout="300")
        self._hook = install_hook("r", self.namespace, *sets)
        self._token = identity(self.runtime.cluster, self.namespace, "ensure", self._hook.rules)
        ca = (PKI / "ca.crt").read_text()
        files: dict[str, str | bytes] = {
            "serviceaccount/ca.crt": ca,
            "serviceaccount/token": self._token,
            "ca/ca.crt": decoded(self.runtime.cluster, "argocd", "argocd-secret")["tls.crt"],
            "credential/value": f"password-of-{self.runtime.name}",
            "settings/settings.json": self._hook.settings,
            "kubeconfig": self._kubeconfig(ca),
        }
        for name, content in files.items():
            self.chamber.write(f"{self.files}/{name}", content)

    def ensure(self) -> Timing:
        """Run the hook."""
        return _checked(self.chamber.time([PROGRAM, "ensure"], self.environment()))

    def environment(self) -> dict[str, str]:
        return {
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SSL_CERT_DIR": "/etc/ssl/certs",
            "GITOPS_RUNTIME_AUTH_FILES": self.files,
            "GITOPS_RUNTIME_AUTH_SERVICE_ACCOUNT": f"{self.files}/serviceaccount",
            "KUBERNETES_SERVICE_HOST": KUBERNETES_IP,
            "KUBERNETES_SERVICE_PORT": "443",
            **self._hook.environment,
        }

    def by_hand(self) -> Timing:
        """Run what people do today: log in, generate a token, apply the Secret."""
        config, account = f"--config={self.files}/argocd", self.runtime.name
        password = f"--password=password-of-{account}"
        login = self._argocd("login", SERVER, "--insecure", f"--username={account}", password, config)
        token = self._argocd("account", "generate-token", f"--account={account}", config)
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": KEY_SECRET, "namespace": self.namespace},
            "stringData": {"token": token.said.strip()},
        }
        apply = ["/bench/kubectl", f"--kubeconfig={self.files}/kubeconfig", "apply", "-f", "-"]
        return login + token + _checked(self.chamber.time(apply, {}, json.dumps(secret)))

    def log_in_by_hand(self) -> Timing:
        """Run ``argocd login``; it may be refused when many do."""
        words = ["login", SERVER, "--insecure", f"--username={self.runtime.name}", f"--config={self.files}/argocd"]
        return self.chamber.time(["/bench/argocd", *words, f"--password=password-of-{self.runtime.name}"], {})

    def ask_by_hand(self) -> Timing:
        """Ask Argo CD about the account with the stored key, by its CLI."""
        key = self.runtime.key() if self.namespace == self.runtime.name else None
        assert key
        words = ["account", "get", f"--account={key.account}", f"--server={SERVER}", "--insecure"]
        return self._argocd(*words, f"--auth-token={key.token}", f"--config={self.files}/none")

    def mount(self) -> None:
        """Let the next run find the stored Secret mounted, as an upgrade does."""
        secret = self.runtime.cluster.get(path_of(self.namespace, "secrets", KEY_SECRET)) or {}
        for name, value in secret["data"].items():
            self.chamber.write(f"{self.files}/key/{name}", base64.b64decode(value))

    def forget(self) -> None:
        """Become a release that was never installed."""
        self.runtime.cluster.delete(path_of(self.namespace, "secrets", KEY_SECRET))
        for key_id in self.runtime.keys():  # noqa: SIM118
            self.runtime.argocd.delete_key(self.runtime.name, key_id, self.runtime.session)

    def _argocd(self, *words: str) -> Timing:
        return _checked(self.chamber.time(["/bench/argocd", *words], {}))

    def _kubeconfig(self, ca: str) -> str:
        cluster = {
            "server": f"https://{KUBERNETES_IP}",
            "certificate-authority-data": base64.b64encode(ca.encode()).decode(),
        }
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": self._token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": self.namespace}}],
                "current-context": "x",
            }
        )


def spans(timing: Timing) -> list[tuple[str, float]]:
    """Return the steps of a run of the hook and their seconds."""
    return [(name, float(seconds)) for name, seconds in _SPAN.findall(timing.said)]


def _checked(timing: Timing) -> Timing:
    if timing.code:
        raise RuntimeError(f"a timed program ended with {timing.code}: {timing.said[-2000:]}")
    return timing
