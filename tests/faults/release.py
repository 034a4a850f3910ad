"""One release, its files as a pod would find them, and a run of one of its commands between two proxies."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.cluster import path_of
from dev.keys import KEY_SECRET, StoredKey, stored
from tests.faults import settings
from tests.faults.place import Site, kubeconfig
from tests.faults.proxy import Between
from tests.faults.roles import REFUSED, RELEASE, identity
from tests.faults.traffic import NO_FAULT, Fault, Traffic

PROGRAMS = {
    "keep": ["tests.faults.one_check"],  # stands for the keeper, which would go on
    "leave": ["tests.faults.one_check", "leave"],
    "keep-on": ["tests.faults.keeper"],
    "rollback": ["gitops_runtime_auth", "ensure", "--before-rollback"],
}
"""How the commands are run that are not run by their own name."""
RIGHTS = {"keep-on": "keep", "leave": "keep", "rollback": "ensure"}
"""Whose ServiceAccount a command has, where it is not one of its own name."""
_PARTS = ("settings", "credential", "ca", "key", "refused", "headers", "serviceaccount", "tmp")


@dataclass
class Result:
    """How a run ended, and what it said and asked."""

    code: int
    said: str
    traffic: Traffic
    seconds: float


@dataclass
class Release:
    """One release in a namespace of its own (the key Secret has one name in these tests), with its files."""

    site: Site
    folder: Path
    account: str
    password: str
    namespace: str
    between: Between
    name: str = RELEASE
    timeout: int = 60
    tokens: dict[str, str] = field(default_factory=dict)
    """Of the ServiceAccounts, by command."""
    sessions: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    said: str = ""
    host: str = "127.0.0.1"
    """The name by which the proxy before Argo CD is addressed: ``localhost`` is another server to the product."""
    values: dict[str, Any] = field(default_factory=dict)
    """More of the chart's values."""
    consumers: tuple[str, ...] = settings.CONSUMERS
    """Workloads that take the key."""
    spare: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Other accounts of this release's life, by the part they play: name and credential."""

    def __post_init__(self) -> None:
        for part in _PARTS:
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        for place in ("serviceaccount", "ca"):
            (self.folder / place / "ca.crt").write_bytes(self.site.authority.cert_pem.bytes())
        self.accounts: dict[str, str] = {}
        self.use(self.account, self.password)

    def use(self, account: str, credential: str) -> None:
        """Have another account, or for ``type: token`` its API key, in the values and the mounted Secret."""
        self.account = account
        self.accounts.setdefault(account, credential)
        self.mount_credential(credential)

    def mount_credential(self, credential: str) -> None:
        """Have another credential in the mounted Secret."""
        (self.folder / "credential" / "value").write_text(credential)

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.between.argocd.port}"

    @property
    def path(self) -> str:
        return path_of(self.namespace, "secrets", KEY_SECRET)

    # What became of it

    def owns(self, key_id: str) -> bool:
        """Tell by its id whether a key was made for this release."""
        return key_id.startswith("gra.") and f".{self.namespace}.{self.name}." in key_id

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

    def live_sessions(self) -> list[str]:
        """Return the sessions of this release's runs that Argo CD still accepts."""
        return [s for s in self.sessions if self.site.accepts(s)]

    def record(self) -> dict[str, Any]:
        """Return what is remembered of a refused password, empty if nothing is."""
        text = _record_in(self.site.cluster.get(path_of(self.namespace, "configmaps", REFUSED)))
        found: dict[str, Any] = json.loads(text or "{}")
        return found

    # What a test does to it

    def age_record(self, seconds: float) -> None:
        """Let ``seconds`` pass since a password was refused, or its login not answered."""
        aged = {**self.record(), "at": self.record()["at"] - seconds}
        self.site.cluster.patch(path_of(self.namespace, "configmaps", REFUSED), {"data": {"record": json.dumps(aged)}})

    def revoke_all(self) -> None:
        for name in self.accounts:
            for key in self.site.argocd.account(name, self.site.session).keys:
                if self.owns(key.id):
                    self.site.argocd.delete_key(name, key.id, self.site.session)

    def forget(self, name: str) -> None:
        """Become another release: no Secret, no record, no memory, the first account."""
        self.site.cluster.delete(self.path)
        self.site.cluster.delete(path_of(self.namespace, "configmaps", REFUSED))
        self.revoke_all()
        self.name, self.sessions, self.keys, self.said = name, [], [], ""
        self.host, self.values = "127.0.0.1", {}
        self.between.kubernetes.namespace = {}
        self.use(*next(iter(self.accounts.items())))

    def run(self, fault: Fault = NO_FAULT, command: str = "ensure") -> Result:
        """Run ``command`` as a pod would, what it mounts as it is now, and wait for its end."""
        traffic, began = self.between.begin(fault), time.monotonic()
        process = self.start(command)
        traffic.kill = process.kill
        said, _ = process.communicate(timeout=self.timeout + 60)
        self.sessions += traffic.sessions
        self.keys += traffic.keys
        self.said += said
        return Result(process.returncode, said, traffic, time.monotonic() - began)

    def start(self, command: str = "ensure", *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        """Start ``command`` with ``environ`` added to its environment."""
        text = settings.document(self.url, self.account, self.timeout, self.values, self.consumers)
        (self.folder / "settings" / "settings.json").write_text(text)
        self._mount()
        (self.folder / "serviceaccount" / "token").write_text(self.token_of(RIGHTS.get(command, command)))
        program = PROGRAMS.get(command, ["gitops_runtime_auth", command])
        return subprocess.Popen(
            [sys.executable, "-m", *program, *arguments],
            env={
                **{k: os.environ[k] for k in ("PATH", "HOME", "PYTHONPATH") if k in os.environ},
                "PYTHONUNBUFFERED": "1",
                "TMPDIR": str(self.folder / "tmp"),
                "GITOPS_RUNTIME_AUTH_FILES": str(self.folder),
                "GITOPS_RUNTIME_AUTH_SERVICE_ACCOUNT": str(self.folder / "serviceaccount"),
                "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                "KUBERNETES_SERVICE_PORT": str(self.between.kubernetes.port),
                "RELEASE_NAME": self.name,
                "RELEASE_NAMESPACE": self.namespace,
                "POD_NAME": "hook-pod",
                "POD_UID": "0",
                "CHART": "gitops-runtime-auth-0.1.0",
                "SETTINGS_SHA256": hashlib.sha256(text.encode()).hexdigest(),
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def check(self) -> "subprocess.CompletedProcess[str]":
        """Run ``check`` as its user does, from a laptop that reaches Argo CD by the proxy before it."""
        (self.folder / "kubeconfig").write_text(kubeconfig())
        values = settings.given(self.url, self.account, self.timeout, self.values)
        (self.folder / "values.yaml").write_text(json.dumps(values))
        words = ["--release", self.name, "-n", self.namespace, "--chart", str(settings.CHART), "-o", "json"]
        words += ["-f", str(self.folder / "values.yaml"), "--kubeconfig", str(self.folder / "kubeconfig")]
        words += ["--server", self.url, "--ca-file", str(self.folder / "ca" / "ca.crt"), "--timeout", str(self.timeout)]
        program = [sys.executable, "-m", "gitops_runtime_auth", "check"]
        return subprocess.run(
            [*program, *words], capture_output=True, text=True, check=False, timeout=self.timeout + 60
        )

    def token_of(self, command: str) -> str:
        if command not in self.tokens:
            self.tokens[command] = identity(self.site.cluster, self.namespace, command)
        return self.tokens[command]

    def _mount(self) -> None:
        """Mount the key Secret and the record as they are now, as the kubelet does when a pod starts."""
        for folder in ("key", "refused"):
            for old in (self.folder / folder).iterdir():
                old.unlink()
        for name, value in ((self.secret() or {}).get("data") or {}).items():
            (self.folder / "key" / name).write_bytes(base64.b64decode(value))
        record = _record_in(self.site.cluster.get(path_of(self.namespace, "configmaps", REFUSED)))
        if record is not None:
            (self.folder / "refused" / "record").write_text(record)


def _record_in(found: dict[str, Any] | None) -> str | None:
    text = ((found or {}).get("data") or {}).get("record")
    return None if text is None else str(text)
