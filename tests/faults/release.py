"""One release, its files as a pod would find them, and a run of one of its commands between two proxies."""

import base64
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme
from gitops_runtime_auth.config.values import chart_defaults, merge

from dev.cluster import path_of
from dev.keys import KEY_SECRET, StoredKey, stored
from gitops_runtime_auth.kube import secret as store
from tests.faults.place import Site
from tests.faults.proxy import FaultProxy
from tests.faults.roles import CONSUMER, ENSURE_JOB, TEST_POD, identity

NO_FAULT = ("", 0, "")
_ONE_CHECK = "tests.faults.one_check"
"""Stands for ``keep``, which would go on."""


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
    cluster: str = ""
    """Set: another cluster, of the same API server, whose CA bundle differs from the real one's."""
    host: str = "127.0.0.1"
    """The name by which the proxy before Argo CD is addressed: ``localhost`` is another server to the product."""
    values: dict[str, Any] = field(default_factory=dict)
    """More of the chart's values."""
    spare: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Other accounts of this release's life, by the part they play: name and credential."""

    def __post_init__(self) -> None:
        for part in ("settings", "credential", "ca", "key", "serviceaccount"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self._ca = self.site.authority.cert_pem.bytes()
        if self.cluster:
            self._ca += trustme.CA(organization_name=self.cluster).cert_pem.bytes()
        (self.folder / "serviceaccount" / "ca.crt").write_bytes(self._ca)
        (self.folder / "ca" / "ca.crt").write_bytes(self._ca)
        self.tokens = {"ensure": self.token}
        self.accounts: dict[str, str] = {}
        self.use(self.account, self.password)

    def owns(self, key_id: str) -> bool:
        """Tell by its id whether a key was made for this release."""
        return key_id.startswith("gra.") and f".{self.namespace}.{self.name}." in key_id

    def use(self, account: str, credential: str) -> None:
        """Have another account, or for ``type: token`` its API key, in the values and the mounted Secret."""
        self.account = account
        self.accounts.setdefault(account, credential)
        (self.folder / "credential" / "value").write_text(credential)

    @property
    def path(self) -> str:
        return path_of(self.namespace, "secrets", KEY_SECRET)

    def secret(self) -> dict[str, Any] | None:
        return self.site.cluster.get(self.path)

    def entry(self) -> StoredKey | None:
        return stored(self.site.cluster, self.namespace)

    def holds_a_good_key(self) -> bool:
        """Tell whether Argo CD accepts the key in the Secret."""
        entry = self.entry()
        return entry is not None and self.site.accepts(entry.token)

    def live(self) -> list[str]:
        """Return the release's keys as Argo CD lists them."""
        shown = [self.site.argocd.account(name, self.site.session) for name in self.accounts]
        return [key.id for account in shown for key in account.keys if self.owns(key.id)]

    def revoke_all(self) -> None:
        for name in self.accounts:
            for key in self.site.argocd.account(name, self.site.session).keys:
                if self.owns(key.id):
                    self.site.argocd.delete_key(name, key.id, self.site.session)

    def live_sessions(self) -> list[str]:
        """Return the sessions of this release's runs that Argo CD still accepts."""
        return [s for s in self.sessions if self.site.accepts(s)]

    def forget(self, name: str) -> None:
        """Become another release: no Secret, no memory, the first account."""
        self.site.cluster.delete(self.path)
        self.revoke_all()
        self.name, self.sessions, self.keys, self.said = name, [], [], ""
        self.host, self.values = "127.0.0.1", {}
        self.use(*next(iter(self.accounts.items())))

    def run(self, fault: tuple[str, int, str] = NO_FAULT, command: str = "ensure") -> Result:
        """Run ``command`` as a pod would, the Secret mounted as it is now, behind two proxies of its own."""
        argocd = FaultProxy("argocd", self.site.argocd_at, self.site.tls)
        kubernetes = FaultProxy("kubernetes", self.site.apiserver, self.site.tls)
        argocd.fault = kubernetes.fault = fault
        try:
            process = self.start(argocd.port, kubernetes.port, command)
            argocd.kill = kubernetes.kill = process.kill
            began = time.monotonic()
            said, _ = process.communicate(timeout=self.timeout + 60)
        finally:
            argocd.close()
            kubernetes.close()
        self.sessions += argocd.sessions
        self.keys += argocd.keys
        self.said += said
        hit = argocd.hit or kubernetes.hit
        return Result(process.returncode, said, argocd.seen + kubernetes.seen, hit, time.monotonic() - began)

    def start(
        self, argocd_port: int, kubernetes_port: int, command: str = "ensure", **environ: str
    ) -> "subprocess.Popen[str]":
        """Start ``command`` against two ports of the loopback, with ``environ`` added to its environment."""
        # Each proxy has a port of its own, and a key belongs to an address: what the Secret says moves along.
        (self.folder / "settings" / "settings.json").write_text(json.dumps(self._values(argocd_port)))
        self._mount(argocd_port)
        (self.folder / "serviceaccount" / "token").write_text(self.token_of(command))
        program = [_ONE_CHECK] if command == "keep" else ["gitops_runtime_auth", command]
        return subprocess.Popen(
            [sys.executable, "-m", *program],
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
                "CONSUMERS": CONSUMER,
                "HOOK_JOB": ENSURE_JOB,
                "TEST_POD": TEST_POD,
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def token_of(self, command: str) -> str:
        if command not in self.tokens:
            self.tokens[command] = identity(self.site.cluster, self.namespace, command)
        return self.tokens[command]

    def _values(self, port: int) -> dict[str, Any]:
        auth = {
            "type": "password",
            "username": self.account,
            "passwordSecretKeyRef": {"name": "mine", "key": "password"},
        }
        block = {"server": {"url": f"https://{self.host}:{port}"}, "auth": auth}
        given = {"global": {"external-arg-cd": block}, "hook": {"timeout": self.timeout, "logLevel": "debug"}}
        defaults = chart_defaults()
        return merge({part: defaults[part] for part in ("hook", "keeper")}, merge(given, self.values))

    def _mount(self, port: int) -> None:
        for old in (self.folder / "key").iterdir():
            old.unlink()
        secret = self.secret()
        if secret is None:
            return
        data = {k: base64.b64decode(v) for k, v in secret["data"].items()}
        state = _behind(json.loads(data[store.STATE]), port)
        state["previous"] = [_behind(entry, port) for entry in state["previous"]]
        data[store.STATE] = json.dumps(state).encode()
        secret["data"] = {k: base64.b64encode(v).decode() for k, v in data.items()}
        self.site.cluster.replace(self.path, secret)
        for name, value in data.items():
            (self.folder / "key" / name).write_bytes(value)


def _behind(entry: dict[str, Any], port: int) -> dict[str, Any]:
    return {**entry, "url": f"https://{urlsplit(entry['url']).hostname}:{port}"}
