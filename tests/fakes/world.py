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
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import jwt
import pytest

from gitops_runtime_auth import __main__ as program
from gitops_runtime_auth.timing import Timing
from tests.fakes import prose
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.authority import authority
from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubestatus import no_right

if TYPE_CHECKING:
    from tests.fakes.keeper import KeeperPod

NAMESPACE, RELEASE = "runtime-ns", "runtime"
NAMESPACE_PATH = f"/api/v1/namespaces/{NAMESPACE}"
CM = "/api/v1/namespaces/argocd/configmaps/argocd-cm"
ACCOUNT, PASSWORD = "runtime", "canary-password-of-runtime"
REFUSED = f"{RELEASE}-auth-refused"

NO_RIGHT = no_right("system:serviceaccount:runtime-ns:hook", "create", "secrets", "", "", NAMESPACE).answer
"""What Kubernetes answers to somebody without a Role for what he asks."""

FAST = Timing(
    first_retry=0.002,
    longest_retry=0.02,
    request=5.0,
    fastest_verdict=0.01,
    jitter=10.0,
    overload_passes=0.01,
    last_try=0.3,
    event=1.0,
    recording=1.0,
    fresh_shows=1.0,
    capability_shows=0.5,
    capability_lasts=0.05,
    revocation=2.0,
    check=10.0,
    look=0.01,
    after_error=0.01,
    leaving=0.3,
    stand_by=600.0,
    watch=5.0,
    agent_interval=0.05,
    agent_patience=0.5,
)
"""Every wait shortened tenfold or more. Spans that a test lets pass by Argo CD's clock are as users have them."""
ONCE = Timing(**{**FAST.__dict__, "first_retry": 3600.0, "longest_retry": 3600.0})
"""No request is sent again, because the pause before that is longer than any deadline."""


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


_SLOW = hashlib.scrypt


@contextlib.contextmanager
def cheap_scrypt() -> Iterator[None]:
    """Within this block a slow hash is a quick one, after a look at how slow it was to be: 0.05 s for each login."""

    def quick(password: bytes, *, salt: bytes, n: int, r: int, p: int) -> bytes:
        assert n * r * p >= 2**17, "a hash this quick can be tried out"
        return _SLOW(password, salt=salt + repr((n, r, p)).encode(), n=2, r=1, p=1)

    with mock.patch.object(hashlib, "scrypt", quick):
        yield


@contextlib.contextmanager
def set_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for this block. ``mock.patch.dict`` is slower, because it sets all others again."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


class ConfigMapData(MutableMapping[str, str]):
    """The data of a ConfigMap in the cluster, read and written as somebody else does."""

    def __init__(self, kubernetes: FakeKubernetes, path: str) -> None:
        self._kubernetes = kubernetes
        self._path = path

    def _data(self) -> dict[str, str]:
        return dict(self._kubernetes.objects[self._path].get("data") or {})

    def _write(self, data: dict[str, str]) -> None:
        self._kubernetes.put(self._path, {**self._kubernetes.objects[self._path], "data": data})

    def __getitem__(self, key: str) -> str:
        return self._data()[key]

    def __setitem__(self, key: str, value: str) -> None:
        self._write({**self._data(), key: value})

    def __delitem__(self, key: str) -> None:
        self._write({k: v for k, v in self._data().items() if k != key})

    def __iter__(self) -> Iterator[str]:
        return iter(self._data())

    def __len__(self) -> int:
        return len(self._data())


class World:
    """What outlives a run. ``server`` is the Argo CD that the settings name now."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.argocd = FakeArgoCD(authority("argocd").tls)
        self.kubernetes = FakeKubernetes()
        self.uid = self.kubernetes.namespace(NAMESPACE)
        """UID of the release's namespace."""
        self.kubernetes.namespace("argocd")
        self.kubernetes.put(CM, {})
        self.argocd.accounts.cm = ConfigMapData(self.kubernetes, CM)
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
        self.argocd.account(ACCOUNT, password=PASSWORD)
        self.give(PASSWORD)
        self.trust(self.argocd)
        self._pod = self.kubernetes.service_account(self.files / "serviceaccount")
        self.headers = ""
        """Name of the Secret with further request headers."""
        self.runs: list[Run] = []
        self.keepers: list[KeeperPod] = []
        self._left: set[threading.Thread] = set()
        """Threads that runs left behind, whose process would have ended."""
        self._timers: list[threading.Timer] = []

    @cached_property
    def other(self) -> FakeArgoCD:
        """A second Argo CD, with an account of the same name. It starts when a test first uses it."""
        made = FakeArgoCD(authority("other").tls)
        made.account(ACCOUNT, password=f"other-{PASSWORD}")
        return made

    @property
    def argocds(self) -> list[FakeArgoCD]:
        """The Argo CDs that have started."""
        return [self.argocd, *([self.other] if "other" in vars(self) else [])]

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
            timer.join()
        if any(thread.is_alive() for thread in self._left):
            self.kubernetes.server.heal()
            self.kubernetes.fault(".*", answer=NO_RIGHT)  # not worth another try
        for thread in self._left:
            thread.join(5)
        for argocd in self.argocds:
            argocd.close()
        self.kubernetes.close()

    # The user's part

    def give(self, credential: str) -> None:
        """Mount the user's Secret with this password or token; an empty one takes it away."""
        self.mount("credential", value=credential)

    def trust(self, argocd: FakeArgoCD | None) -> None:
        """Mount the CA of an Argo CD, or none."""
        name = "argocd" if argocd is self.argocd else "other"
        self.mount("ca", **({"ca.crt": authority(name).pem} if argocd else {}))

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
        server: dict[str, Any] = {
            "url": self.url,
            "insecureSkipVerify": self.insecure,
            "caSecretKeyRef": {"name": "ca", "key": "ca.crt"},
        }
        if self.headers:
            server["headersSecretRef"] = {"name": self.headers}
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
            "leftovers": {
                "jobs": [f"{self.release}-auth-ensure"],
                "pods": [f"{self.release}-auth-verify"],
                "secrets": [],
            },
        }
        values = {"global": {"external-arg-cd": {"server": server, "auth": auth}}, **deepcopy(self.values)}
        return {"values": values, "derived": derived | self.derived}

    def remount(self) -> None:
        """Bring the mounts of the key Secret and of the refused record up to date, as a new pod has them."""
        self.mount("key", **self.secret(self.values["keySecret"]["name"]))
        record = self.find(f"/api/v1/namespaces/{self.namespace}/configmaps/{REFUSED}")
        self.mount("refused", **((record or {}).get("data") or {}))

    def environment(self) -> dict[str, str]:
        """Write settings.json, and return the environment of a pod."""
        text = json.dumps(self.document())
        self.mount("settings", **{"settings.json": text})
        return {
            "GITOPS_RUNTIME_AUTH_FILES": str(self.files),
            **self._pod,
            "RELEASE_NAME": self.release,
            "RELEASE_NAMESPACE": self.namespace,
            "POD_NAME": "hook-pod",
            "POD_UID": "6d1f3c52-2c0b-4f0e-8a83-3a4d9b3ef001",
            "CHART": "gitops-runtime-auth-0.1.0",
            "SETTINGS_SHA256": hashlib.sha256(text.encode()).hexdigest(),
        }

    # Runs

    def run(self, *argv: str, timing: Timing = FAST, **environ: str) -> Run:
        """Run a command in this process; ``environ`` is laid over a pod's environment."""
        log, out, termination = io.StringIO(), io.StringIO(), self.files / "termination-log"
        termination.write_text("")
        before = set(threading.enumerate())
        began = time.monotonic()
        with (
            set_environment(self.environment() | environ),
            mock.patch.object(program, "TERMINATION_LOG", termination),
            cheap_scrypt(),
            contextlib.redirect_stderr(log),
            contextlib.redirect_stdout(out),
        ):
            code = program.main(argv, timing)
        taken = time.monotonic() - began
        self._left |= left_behind(before)
        self.runs.append(Run(code, log.getvalue(), out.getvalue(), termination.read_text(), taken))
        return self.runs[-1]

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

    def begin_installed(self) -> None:
        """Bring the release into the state after a first ``install``, which runs once in each test process."""
        from tests.fakes import installed

        installed.bring_into(self, installed.install)

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

    def keeper(self, timing: Timing = FAST) -> "KeeperPod":
        """Start a keeper's pod with the settings and mounts of now; its ``check`` is one turn of it."""
        from tests.fakes.keeper import KeeperPod

        self.keepers.append(KeeperPod(self, timing, len(self.keepers)))
        return self.keepers[-1]

    def later(self, seconds: float, does: Callable[[], object]) -> None:
        """Let something happen while a command runs."""
        timer = threading.Timer(seconds, does)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    # Workloads

    def workload(self, name: str) -> str:
        """Make a Deployment or StatefulSet, rolled out before the release's key was made; return its path."""
        labels = {"app": name.partition("/")[2]}
        spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {}}}
        self.kubernetes.put(self.path_of(name), {"spec": spec})
        self._rolled_out_at(name, time.time() - 60)
        return self.path_of(name)

    def path_of(self, workload: str) -> str:
        kind, _, name = workload.partition("/")
        return f"/apis/apps/v1/namespaces/{self.namespace}/{kind}s/{name}"

    def hold_rollouts(self) -> None:
        """From now on a workload that changes has old Pods until ``roll_out``."""
        self.kubernetes.rollouts.mode = "held"

    def roll_out(self, later: float = 1) -> None:
        """Have Helm change every workload, and let the rollouts finish, ``later`` seconds from now.

        Two seconds pass by Argo CD's clock, which it tells in whole seconds.
        """
        for argocd in (self.argocd, self.other):
            argocd.ahead += 2
        for name in [*self.consumers, *self.wait_for]:
            if self.find(self.path_of(name)):
                self.kubernetes.rollouts.finish(self.path_of(name))
                self._rolled_out_at(name, time.time() + later)

    def status_of(self, workload: str, **fields: Any) -> None:
        """Set fields of a workload's status."""
        self.kubernetes.rollouts.status(self.path_of(workload), **fields)

    def restarted(self, workload: str) -> str:
        """Return the id of the key that a workload was restarted for, empty for none."""
        template = (self.find(self.path_of(workload)) or {})["spec"]["template"]
        return str((template["metadata"].get("annotations") or {}).get("gitops-runtime-auth/key-id", ""))

    def _rolled_out_at(self, workload: str, at: float) -> None:
        if workload.startswith("deployment/"):
            told = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self.status_of(workload, conditions=[{"type": "Progressing", "lastUpdateTime": told}])

    # What others do in the cluster

    def find(self, path: str) -> dict[str, Any] | None:
        """Return an object, None when there is none."""
        return deepcopy(self.kubernetes.objects.get(path))

    def get(self, path: str) -> dict[str, Any]:
        """Return an object that must be there."""
        return deepcopy(self.kubernetes.objects[path])

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Create or replace an object."""
        self.kubernetes.put(path, body)

    def remove(self, path: str) -> None:
        """Delete an object."""
        self.kubernetes.remove(path)

    def edit_secret(self, data: dict[str, str], name: str = "argocd-token") -> None:
        """Replace a Secret's data."""
        encoded = {key: base64.b64encode(value.encode("latin-1")).decode() for key, value in data.items()}
        self.put(self.path(name), {**(self.find(self.path(name)) or {}), "data": encoded})

    def edit(self, path: str, **metadata: Any) -> None:
        """Replace fields of an object's metadata."""
        found = self.find(path) or {}
        self.put(path, {**found, "metadata": {**found.get("metadata", {}), **metadata}})

    def namespace_goes(self) -> None:
        """Begin the deletion of the release's namespace, of which everything is still there."""
        self.edit(NAMESPACE_PATH, deletionTimestamp="2026-01-01T00:00:00Z")

    def writes(self) -> list[str]:
        """Return every request that was to change something in Kubernetes, Events apart."""
        return [f"{method} {path}" for method, path in self.kubernetes.writes() if not path.endswith("/events")]

    def write_before(self) -> None:
        """Let somebody else write the key Secret just before the product's next write, which then meets a conflict."""
        touch = {"annotations": {"touched": "by somebody"}}
        self.kubernetes.fault("PUT .*/argocd-token$", times=1, does=lambda: self.edit(self.path(), **touch))

    # What became of it

    def secret(self, name: str = "argocd-token") -> dict[str, str]:
        """Return a Secret's data, decoded; nothing when there is no such Secret."""
        found = self.find(self.path(name)) or {}
        return {k: base64.b64decode(v).decode("utf-8", "replace") for k, v in (found.get("data") or {}).items()}

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
        """Return the ids of this installation's keys that are valid in an Argo CD (the one of the settings)."""
        listed = (argocd or self.server).live_keys()
        return [key for key in listed if key.startswith(self.prefix)]

    @property
    def prefix(self) -> str:
        """How the ids of this installation's keys begin."""
        identity = hashlib.sha256(self.uid.encode()).hexdigest()[:12]
        return f"gra.{identity}.{self.namespace}.{self.release}."

    def own_key(self, once: str = "20260101t000000z-0123456789ab") -> str:
        """Return an id that this installation could have made."""
        return self.prefix + once

    def events(self) -> list[tuple[str, str, str]]:
        """Return type, reason and message of every Event, oldest first."""
        folder = f"/api/v1/namespaces/{self.namespace}/events/"
        found = [e for path, e in self.kubernetes.objects.items() if path.startswith(folder)]
        return [(e["type"], e["reason"], e["message"]) for e in found]

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.events()]

    def record(self) -> str:
        """Return the record of a refused password, empty when there is none."""
        found = self.find(f"/api/v1/namespaces/{self.namespace}/configmaps/{REFUSED}") or {}
        return str((found.get("data") or {}).get("record") or "")

    def require_no_secret_told(self) -> None:
        """Assert that no password, key or session token came out in a log, a message, an Event or any other object."""
        told = [run.said for run in self.runs] + [keeper.log.getvalue() for keeper in self.keepers]
        kept = ("/secrets/",)
        told += [json.dumps(o) for path, o in self.kubernetes.objects.items() if not any(k in path for k in kept)]
        for secret in self._secrets():
            assert not any(secret in text for text in told), "a credential was told"

    def require_prose(self) -> None:
        """Assert that all that was told to people consists of sentences."""
        for said in (*(run.log + run.termination for run in self.runs), *(k.log.getvalue() for k in self.keepers)):
            prose.require_prose(said)
        for _, _, message in self.events():
            prose.require_sentences(message)

    def _secrets(self) -> Iterator[str]:
        for argocd in self.argocds:
            yield from (kept.password for kept in argocd.accounts.secret.values() if kept.password)
            yield from argocd.made
            yield from argocd.sessions.values()


def left_behind(before: set[threading.Thread]) -> set[threading.Thread]:
    """Return the threads that the program has started since and not ended; assert that its process would end."""
    left = {t for t in threading.enumerate() if t not in before and not t.name.endswith(("_serve)", "_accept)"))}
    assert all(thread.daemon for thread in left), f"the process would not end: {left}"
    return left


def key_id(token: str) -> str:
    """Return the ``jti`` of a token, empty when it is none."""
    try:
        return str(jwt.decode(token, options={"verify_signature": False}).get("jti", ""))
    except jwt.PyJWTError:
        return ""


def ids_in(text: str) -> list[str]:
    """Return the ids of keys that a text names."""
    return re.findall(r"gra\.[0-9a-f]{12}\.[a-z0-9.-]+-[0-9a-f]{12}", text)
