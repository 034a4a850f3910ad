"""Whoever manages ``argocd-cm``: the change is refused before anything happens, and the printed remedy lasts.

A Helm release, an Application of Argo CD itself, and Flux, each with the real program; the operator has a file of its
own. Another test's account would be refused for these managers too, so nothing else may run meanwhile.
"""

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dev.cluster import Object
from dev.flux import HelmRelease
from dev.runtime import CM, CONFIG, Runtime, runtime, within
from dev.sandbox import cli
from tests.e2e import charts

pytestmark = [pytest.mark.zoo, pytest.mark.alone]
CHART = str(Path(__file__).parent / "argo-cd")
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
PUBLISHED = "https://argoproj.github.io/argo-helm"
"""Where the remedy takes Argo CD's chart from; tests have their own instead."""


@pytest.fixture
def release() -> Iterator[Runtime]:
    """A release whose account lacks ``apiKey``; afterwards ``argocd-cm`` belongs to nobody again."""
    with runtime("e2e-managers") as made:
        made.give(made.name, "login")
        before = configmap(made)["metadata"]
        try:
            yield made
        finally:
            after = configmap(made)["metadata"]
            marks = {
                part: {**dict.fromkeys(after.get(part) or {}), **(before.get(part) or {})}
                for part in ("labels", "annotations")
            }
            made.cluster.patch(CM, {"metadata": marks})


def configmap(release: Runtime) -> Object:
    return release.cluster.get(CM) or {}


def adoptable(release: Runtime, name: str, namespace: str) -> None:
    """Mark ``argocd-cm`` as that Helm release's, as the chart that made it has."""
    marks = {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace}
    label = {"app.kubernetes.io/managed-by": "Helm"}
    release.cluster.patch(CM, {"metadata": {"annotations": marks, "labels": label}})


def refused(release: Runtime) -> str:
    """Ask the hook to add the capability, see that it changes nothing, and return what it says instead."""
    sets = release.hook_alone(hook__enableApiKey="true", hook__outputLogPolicy="always")  # beside Flux, too
    said = release.install(*sets, wait=False, check=False)
    assert configmap(release)["data"][f"accounts.{release.name}"] == "login"
    assert release.keys() == []
    assert release.key() is None
    return said


def installed(release: Runtime) -> None:
    """Wait until the change has come, and that it lasts; then install."""
    within(60, lambda: "apiKey" in release.argocd.account(release.name, release.session).capabilities)
    time.sleep(5)  # whoever takes changes back has done so by now
    release.install(*release.hook_alone())
    assert release.works()
    release.helm("uninstall", "r", "--wait")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Show a folder by HTTP on this machine, where helm runs; return its URL."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def wanted(release: Runtime, said: str) -> str:
    """Return the value that the remedy wants for the account, in a text that names the key of ``argocd-cm``."""
    found = re.search(rf'add accounts\.{release.name}: "([^"]+)" to its data in Git', said.replace('\\"', '"'))
    assert found, said
    return found[1]


def test_a_helm_release(release: Runtime, tmp_path: Path) -> None:
    adoptable(release, "argo-cd", "argocd")
    helm = ["helm", "-n", "argocd", "--kubeconfig", CONFIG]
    first = [*helm, "install", "argo-cd", CHART, "--set", f"configs.cm.accounts\\.{release.name}=login"]
    subprocess.run(first, check=True, capture_output=True)
    try:
        said = refused(release)
        assert "Helm release argo-cd manages argocd-cm" in said
        found = re.search(r"Run: (helm -n argocd list .*)", said)
        assert found, said
        for words in (f"package {CHART} -d {tmp_path}", f"repo index {tmp_path}"):
            subprocess.run(["helm", *words.split()], check=True, capture_output=True)
        assert PUBLISHED in found[1]
        with served(tmp_path) as url:
            command = found[1].replace(PUBLISHED, url)
            environ = {**os.environ, "KUBECONFIG": CONFIG}
            subprocess.run(["bash", "-euc", command], env=environ, check=True, capture_output=True)
        installed(release)
    finally:
        subprocess.run([*helm, "uninstall", "argo-cd"], check=True, capture_output=True)


def test_argo_cd_itself(release: Runtime, tmp_path: Path) -> None:
    source = {
        "repoURL": charts.serve(release, tmp_path, CHART),
        "chart": "argo-cd",
        "targetRevision": "*",
        "helm": {"parameters": [parameter(release, "login")]},
    }
    spec = {
        "project": "default",
        "source": source,
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "argocd"},
        "syncPolicy": {"automated": {"selfHeal": True}},
    }
    application = f"{APPLICATIONS}/argo-cd"
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "argo-cd"}, "spec": spec}
    release.cluster.create(APPLICATIONS, body)
    try:
        within(120, lambda: "argocd.argoproj.io/tracking-id" in configmap(release)["metadata"].get("annotations", {}))
        said = refused(release)
        assert "Argo CD Application argo-cd manages argocd-cm and undoes other changes" in said
        changed = {**source, "helm": {"parameters": [parameter(release, wanted(release, said))]}}
        release.cluster.patch(application, {"spec": {"source": changed}})
        installed(release)
    finally:
        release.cluster.delete(application)


def parameter(release: Runtime, capabilities: str) -> dict[str, str]:
    name = rf"configs.cm.accounts\.{release.name}"
    return {"name": name, "value": capabilities.replace(",", r"\,")}


def test_flux(release: Runtime) -> None:
    assert cli.main(["neighbour", "flux", "up"]) == 0
    argocd = HelmRelease(release, CHART, "argocd")
    adoptable(release, "argocd", release.name)
    values = {"configs": {"cm": {f"accounts.{release.name}": "login"}}}
    try:
        argocd.apply(values)
        within(120, argocd.ready)
        said = refused(release)
        assert f"Flux HelmRelease {release.name}/argocd manages argocd-cm and undoes other changes" in said
        values["configs"]["cm"][f"accounts.{release.name}"] = wanted(release, said)
        argocd.apply(values)
        installed(release)
    finally:
        argocd.delete()
        within(90, argocd.gone)
        assert cli.main(["neighbour", "flux", "down"]) == 0
