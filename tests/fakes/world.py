"""A release beside two Argo CDs and a Kubernetes API, and a way to run its commands as its pods do."""

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import jwt

from gitops_runtime_auth import __main__ as program
from gitops_runtime_auth.timing import Timing
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.authority import authority
from tests.fakes.kubernetes import FakeKubernetes

NAMESPACE, RELEASE = "runtime-ns", "runtime"
UID = "5bd7b3a8-8a1f-4c4c-9d0f-2a5b0f6d3c11"
"""UID of the release's namespace."""
ACCOUNT, PASSWORD = "runtime", "canary-password-of-runtime"
REFUSED = f"{RELEASE}-auth-refused"

FAST = Timing(
    first_retry=0.002,
    longest_retry=0.02,
    request=5.0,
    fastest_verdict=0.15,
    overload_passes=0.01,
    fresh_shows=1.0,
    capability_shows=0.5,
    capability_lasts=0.1,
    revocation=2.0,
    check=10.0,
    look=0.01,
    after_error=0.01,
    stand_by=600.0,
    watch=5.0,
    agent_interval=0.05,
    agent_patience=0.5,
)
"""Every wait shortened tenfold or more. Spans that a test lets pass by Argo CD's clock are as users have them."""
ONCE = Timing(**{**FAST.__dict__, "first_retry": 3600.0, "longest_retry": 3600.0})
"""Nothing is tried twice: the pause before that would be longer than any deadline."""


@dataclass
class Run:
    """How a run of a command ended, and what it said."""

    code: int
    log: str
    out: str
    termination: str
    seconds: float

    @property
    def said(self) -> str:
        return f"{self.log}{self.out}{self.termination}"

    @property
    def warnings(self) -> list[str]:
        return [line.removeprefix("WARNING: ") for line in self.log.splitlines() if line.startswith("WARNING: ")]

    @property
    def problem(self) -> str:
        """The first of the two sentences of a failure."""
        return self.termination.splitlines()[0] if self.termination else ""

    @property
    def remedy(self) -> str:
        """The second."""
        return self.termination.splitlines()[1] if self.termination else ""


class World:
    """What outlives a run. ``server`` is the Argo CD that the settings name now."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.argocd = FakeArgoCD(authority("argocd").tls)
        self.other = FakeArgoCD(authority("other").tls)
        self.kubernetes = FakeKubernetes(authority("kubernetes").tls)
        self.kubernetes.make(f"/api/v1/namespaces/{NAMESPACE}", {"metadata": {"name": NAMESPACE, "uid": UID}})
        self.release = RELEASE
        self.namespace = NAMESPACE
        self.host = "127.0.0.1"
        """The name by which Argo CD is addressed; ``localhost`` is another server to the product."""
        self.server = self.argocd
        self.username = ACCOUNT
        self.auth: dict[str, Any] = {"type": "password", "username": ACCOUNT}
        self.values: dict[str, Any] = {
            "hook": {"timeout": 20, "waitForSecrets": 0, "logLevel": "debug", "enableApiKey": False},
            "keeper": {"interval": 1, "restartConsumers": True, "gracePeriod": 0},
            "keySecret": {"name": "argocd-token", "data": {"token": "token"}},
        }
        self.derived: dict[str, Any] = {}
        """What replaces the chart's derivations of ``document``."""
        self.consumers: list[str] = []
        self.wait_for: list[str] = []
        self.argocd_namespace = "argocd"
        self.insecure = False
        for argocd in (self.argocd, self.other):
            argocd.account(ACCOUNT, password=PASSWORD if argocd is self.argocd else f"other-{PASSWORD}")
        self.give(PASSWORD)
        self.trust(self.argocd)
        (self.files / "nobody.pem").write_text(authority("nobody").pem)
        self.kubernetes.write_service_account(self.files / "serviceaccount")

    def close(self) -> None:
        for fake in (self.argocd, self.other, self.kubernetes):
            fake.close()

    # The user's part

    def give(self, credential: str) -> None:
        """Mount the user's Secret with this password or token; an empty one takes it away."""
        self.mount("credential", value=credential)

    def trust(self, argocd: FakeArgoCD | None) -> None:
        """Mount the CA of an Argo CD, or none."""
        names = {self.argocd: "argocd", self.other: "other"}
        self.mount("ca", **({"ca.crt": authority(names[argocd]).pem} if argocd else {}))

    def mount(self, folder: str, **files: str) -> None:
        """Replace a mounted folder's files; one with empty content is left out."""
        place = self.files / folder
        place.mkdir(parents=True, exist_ok=True)
        for old in place.iterdir():
            old.unlink()
        for name, content in files.items():
            if content:
                (place / name).write_text(content)

    def move_to(self, argocd: FakeArgoCD, account: str = ACCOUNT) -> None:
        """Have another Argo CD in the values, its CA and its account's password in the user's Secrets."""
        self.server = argocd
        self.trust(argocd)
        self.use(account)

    def use(self, account: str) -> None:
        """Have another account in the values, and its password in the user's Secret."""
        self.auth = {"type": "password", "username": account}
        self.give(self.server.accounts.secret[account].password)

    def use_token(self, token: str, secret: str = "mine", **more: Any) -> None:
        """Have ``type: token`` in the values, and this token in the user's Secret."""
        self.auth = {"type": "token", "tokenSecretKeyRef": {"name": secret, "key": "token"}, **more}
        self.give(token)

    def set(self, path: str, value: Any) -> None:
        """Set one of the values: ``hook.enableApiKey``, for one."""
        part, _, name = path.partition(".")
        self.values[part][name] = value

    # What the chart makes of it

    @property
    def url(self) -> str:
        return self.server.url.replace("127.0.0.1", self.host)

    def document(self) -> dict[str, Any]:
        """Return the content of settings.json as the chart writes it."""
        kind = self.auth["type"]
        reference = self.auth.get(f"{kind}SecretKeyRef", {"name": "mine", "key": kind})
        server = {
            "url": self.url,
            "insecureSkipVerify": self.insecure,
            "caSecretKeyRef": {"name": "ca", "key": "ca.crt"},
        }
        auth = {f"{kind}SecretKeyRef": reference, **self.auth}
        key = {"name": self.values["keySecret"]["name"], "key": "token"} if kind == "password" else reference
        derived = {
            "block": "global.external-arg-cd",
            "url": self.url,
            "argocdNamespace": self.argocd_namespace,
            "credential": {**reference, "inline": False},
            "key": key,
            "consumers": self.consumers,
            "waitFor": self.wait_for,
            "refused": REFUSED,
            "leftovers": {"jobs": [f"{self.release}-auth-ensure"], "pods": [f"{self.release}-auth-verify"]},
        }
        values = {"global": {"external-arg-cd": {"server": server, "auth": auth}}, **deepcopy(self.values)}
        return {"values": values, "derived": derived | self.derived}

    def remount(self) -> None:
        """Bring the mounts of the key Secret and of the refused record up to date, as a new pod has them."""
        self.mount("key", **self.secret(self.values["keySecret"]["name"]))
        record = self.kubernetes.find(f"/api/v1/namespaces/{self.namespace}/configmaps/{REFUSED}")
        self.mount("refused", **((record or {}).get("data") or {}))

    def environment(self) -> dict[str, str]:
        """Write settings.json, and return the environment of a pod."""
        text = json.dumps(self.document())
        self.mount("settings", **{"settings.json": text})
        return {
            "GITOPS_RUNTIME_AUTH_FILES": str(self.files),
            "GITOPS_RUNTIME_AUTH_SERVICE_ACCOUNT": str(self.files / "serviceaccount"),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.kubernetes.port),
            "RELEASE_NAME": self.release,
            "RELEASE_NAMESPACE": self.namespace,
            "POD_NAME": "hook-pod",
            "POD_UID": "6d1f3c52-2c0b-4f0e-8a83-3a4d9b3ef001",
            "CHART": "gitops-runtime-auth-0.1.0",
            "SETTINGS_SHA256": hashlib.sha256(text.encode()).hexdigest(),
            # Nobody else is trusted; reading a machine's hundred public CAs for each run would take 0.05 s.
            "SSL_CERT_FILE": str(self.files / "nobody.pem"),
            "SSL_CERT_DIR": str(self.files / "none"),
        }

    # Runs

    def run(self, *argv: str, timing: Timing = FAST, **environ: str) -> Run:
        """Run a command in this process; ``environ`` is laid over a pod's environment."""
        log, out, termination = io.StringIO(), io.StringIO(), self.files / "termination-log"
        termination.write_text("")
        began = time.monotonic()
        with (
            mock.patch.dict(os.environ, self.environment() | environ),
            mock.patch.object(program, "TERMINATION_LOG", termination),
            contextlib.redirect_stderr(log),
            contextlib.redirect_stdout(out),
        ):
            code = program.main(argv, timing)
        taken = time.monotonic() - began
        return Run(code, log.getvalue(), out.getvalue(), termination.read_text(), taken)

    def start(self, *argv: str, **environ: str) -> "subprocess.Popen[str]":
        """Start a command as a process."""
        kept = {k: os.environ[k] for k in ("PATH", "HOME", "PYTHONPATH") if k in os.environ}
        return subprocess.Popen(
            [sys.executable, "-m", "gitops_runtime_auth", *argv],
            env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | self.environment() | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def install(self, timing: Timing = FAST) -> Run:
        """Run the pre-install and pre-upgrade hook in a new pod."""
        self.remount()
        return self.run("ensure", timing=timing)

    upgrade = install

    def rollback(self, timing: Timing = FAST) -> Run:
        """Run the pre-rollback hook in a new pod."""
        self.remount()
        return self.run("ensure", "--before-rollback", timing=timing)

    def retire(self, timing: Timing = FAST) -> Run:
        """Run the post-upgrade hook in a new pod."""
        self.remount()
        return self.run("retire", timing=timing)

    def uninstall(self, timing: Timing = FAST) -> Run:
        """Run the post-delete hook in a new pod."""
        self.remount()
        return self.run("cleanup", timing=timing)

    # What became of it

    def secret(self, name: str = "argocd-token") -> dict[str, str]:
        """Return a Secret's data, decoded; nothing when there is no such Secret."""
        found = self.kubernetes.find(self.path(name)) or {}
        return {k: base64.b64decode(v).decode() for k, v in (found.get("data") or {}).items()}

    def path(self, name: str = "argocd-token") -> str:
        """Return the API path of a Secret."""
        return f"/api/v1/namespaces/{self.namespace}/secrets/{name}"

    @property
    def token(self) -> str:
        """The API key in the key Secret, empty when there is none."""
        return self.secret(self.values["keySecret"]["name"]).get("token", "")

    @property
    def key(self) -> str:
        """Its id."""
        return key_id(self.token)

    def live(self, argocd: FakeArgoCD | None = None) -> list[str]:
        """Return the ids of this installation's keys that are alive in an Argo CD (the one of the settings)."""
        listed = (argocd or self.server).keys()
        return [key for key in listed if key.startswith(self.prefix)]

    @property
    def prefix(self) -> str:
        """How the ids of this installation's keys begin."""
        identity = hashlib.sha256(UID.encode()).hexdigest()[:12]
        return f"gra.{identity}.{self.namespace}.{self.release}."

    def own_key(self, once: str = "20260101t000000z-0123456789ab") -> str:
        """Return an id that this installation could have made."""
        return self.prefix + once

    def events(self) -> list[tuple[str, str, str]]:
        """Return type, reason and message of every Event, oldest first."""
        found = self.kubernetes.under(f"/api/v1/namespaces/{self.namespace}/events/")
        return [(e["type"], e["reason"], e["message"]) for e in found]

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.events()]

    def record(self) -> str:
        """Return the record of a refused password, empty when there is none."""
        found = self.kubernetes.find(f"/api/v1/namespaces/{self.namespace}/configmaps/{REFUSED}") or {}
        return str((found.get("data") or {}).get("record") or "")

    def secrets(self) -> Iterator[str]:
        """Yield everything that must never be told: passwords, keys, session tokens."""
        for argocd in (self.argocd, self.other):
            yield from (kept.password for kept in argocd.accounts.secret.values() if kept.password)
            yield from argocd.made
            yield from argocd.sessions.values()


def key_id(token: str) -> str:
    """Return the ``jti`` of a token, empty when it is none."""
    try:
        return str(jwt.decode(token, options={"verify_signature": False}).get("jti", ""))
    except jwt.PyJWTError:
        return ""


def ids_in(text: str) -> list[str]:
    """Return the ids of keys that a text names."""
    return re.findall(r"gra\.[0-9a-f]{12}\.[a-z0-9.-]+-[0-9a-f]{12}", text)
