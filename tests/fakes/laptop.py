"""A laptop beside a fake Argo CD and a fake Kubernetes API: ``check`` as a user runs it, with the real helm."""

import base64
import json
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.sandbox.tools import CURRENT, QUICK_HELM
from gitops_runtime_auth.__main__ import main
from gitops_runtime_auth.preflight.helm import HelmRun
from gitops_runtime_auth.timing import Timing
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.authority import authority
from tests.fakes.kubeobjects import KINDS
from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.prose import require_words
from tests.fakes.web import as_json
from tests.fakes.world import cheap_scrypt

NAMESPACE = "ns"
PASSWORD = "canary-password-of-admin"
KINDS["", "v1"] |= {"resourcequotas": "ResourceQuota", "limitranges": "LimitRange"}  # which check alone reads
FAST = Timing(first_retry=0.01, longest_retry=0.05, fastest_verdict=0.0, jitter=60.0)
ONCE = replace(FAST, first_retry=3600.0, longest_retry=3600.0)
"""No request is sent again, because the pause before that is longer than any deadline."""


_render, _given_values = HelmRun.render, HelmRun.given_values


def _once(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``ask`` with a memory. Helm takes longer than the rest of a test, so it runs once for all tests that ask
    it the same."""
    answers: dict[str, Any] = {}

    def remembering(run: HelmRun, *how: Any) -> Any:
        *cluster, _deadline = how  # given_values takes no flags about the cluster, and depends on the values alone
        asked = repr((cluster and (run, cluster), run.values, run.stdin))
        if asked not in answers:
            answers[asked] = ask(run, *how)
        return answers[asked]

    return remembering


_render_once, _given_values_once = _once(_render), _once(_given_values)


@dataclass(frozen=True)
class Checked:
    """What one run of ``check`` printed."""

    code: int
    out: str
    err: str

    def rows(self) -> dict[str, dict[str, str]]:
        """Return the rows of ``-o json`` by name."""
        return {row["name"]: row for row in json.loads(self.out)["checks"]}

    def row(self, name: str) -> dict[str, str]:
        return self.rows()[name]

    def failed(self) -> list[str]:
        return [name for name, row in self.rows().items() if row["state"] == "failed"]

    def only_failure(self) -> dict[str, str]:
        [name] = self.failed()
        return self.row(name)


class FakeLaptop:
    """A kubeconfig, the programs on PATH, and what stands in the cluster. ``check`` runs the command.

    Argo CD is reached by --server; with ``by_service`` through a kubectl that forwards to it. ``helm`` is the real one,
    but what it renders is kept for the next time that it is asked the same; ``plain_helm`` is for tests about helm.
    """

    url = "https://argocd-server"
    """Argo CD's address as the chart writes it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self._patch, self._capture = folder, patch, capture
        self.argocd = FakeArgoCD(authority("argocd").tls)
        self.kubernetes = FakeKubernetes()
        self.argocd.account("admin", password=PASSWORD)
        self.argocd.may_see.add("admin")
        self.programs = folder / "bin"
        self.programs.mkdir()
        (self.programs / "helm").symlink_to(CURRENT / "helm")
        patch.setattr(HelmRun, "render", _render_once)
        patch.setattr(HelmRun, "given_values", _given_values_once)
        patch.setenv("PATH", str(self.programs))
        patch.setenv("HOME", str(folder))
        for name, value in QUICK_HELM.items():
            patch.setenv(name, value)
        for name in ("KUBECONFIG", "HELM_NAMESPACE", "HELM_KUBECONTEXT", "NO_COLOR", "XDG_CACHE_HOME"):
            patch.delenv(name, raising=False)
        # One path for all tests, because it is a part of what helm is asked.
        (folder.parent / "kube").mkdir(exist_ok=True)
        self.kubeconfig = self.kubernetes.kubeconfig(folder.parent / "kube")
        self.version("v1.34.2")
        self.secret("argocd-initial-admin-secret", password=PASSWORD)
        self.secret("argocd-secret", {"tls.crt": authority("argocd").pem})
        self.argocd_cm({"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"})

    def close(self) -> None:
        self.argocd.close()
        self.kubernetes.close()

    def version(self, version: str, *apis: str) -> None:
        """Have the API server tell its version and its API groups."""
        groups = [{"name": api.partition("/")[0], "versions": [{"groupVersion": api}]} for api in apis]
        self.kubernetes.server.heal()
        self.kubernetes.fault("GET /version$", answer=as_json(200, {"gitVersion": version}))
        self.kubernetes.fault("GET /apis$", answer=as_json(200, {"kind": "APIGroupList", "groups": groups}))

    def secret(
        self, name: str, data: dict[str, str] | None = None, *, labels: dict[str, str] | None = None, **more: str
    ) -> None:
        """Have a Secret with these keys; ``data`` is for those that are no names in Python."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in {**(data or {}), **more}.items()}
        self.put("secrets", name, {"metadata": {"labels": labels or {}}, "data": encoded})

    def put(self, resource: str, name: str, body: dict[str, Any], namespace: str = NAMESPACE) -> None:
        self.kubernetes.put(f"/api/v1/namespaces/{namespace}/{resource}/{name}", body)

    def argocd_cm(
        self,
        labels: dict[str, str],
        annotations: dict[str, str] | None = None,
        settings: dict[str, str] | None = None,
        **metadata: Any,
    ) -> None:
        """Have an argocd-cm with this metadata and data in Argo CD's namespace."""
        body = {"metadata": {"labels": labels, "annotations": annotations or {}, **metadata}, "data": settings or {}}
        self.put("configmaps", "argocd-cm", body, "argocd")

    def plain_helm(self) -> None:
        """Have a helm that renders each time."""
        self._patch.setattr(HelmRun, "render", _render)
        self._patch.setattr(HelmRun, "given_values", _given_values)

    def program(self, name: str, script: str) -> None:
        """Put a shell script on PATH."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def forwarding_kubectl(self) -> Path:
        """Have a kubectl whose port-forward leads to the fake Argo CD; return the file with what it was asked."""
        asked = self.folder / "kubectl-asked"
        line = f"Forwarding from 127.0.0.1:{self.argocd.server.port} -> 8080"
        # ``exec`` so that the process that check ends is the one that waits.
        self.program("kubectl", f'echo "$@" >> {asked}\necho "{line}"\nexec /bin/sleep 60')
        return asked

    def values(self, values: dict[str, Any], name: str = "values.yaml") -> str:
        """Write a values file; return its path."""
        path = self.folder / name
        path.write_text(yaml.safe_dump(values))
        return str(path)

    def check(self, *arguments: str, output: str = "json", by_service: bool = False, timing: Timing = FAST) -> Checked:
        """Run ``check`` for an Argo CD in namespace argocd, which is reached at --server unless by its Service."""
        way = [] if by_service else ["--server", self.argocd.url, "--set", "hook.argocdNamespace=argocd"]
        line = ["check", "--kubeconfig", str(self.kubeconfig), "-n", NAMESPACE, "--timeout", "15", "-o", output]
        self._capture.readouterr()
        with cheap_scrypt():
            code = main([*line, *way, *arguments], timing)
        shown = self._capture.readouterr()
        require_words(shown.out + shown.err)
        return Checked(code, shown.out, shown.err)

    def logins(self) -> int:
        """Return how many logins Argo CD was sent."""
        return len(self.argocd.server.asked("POST /api/v1/session"))
