"""The chart installed by Argo CD itself: hooks as sync phases, nothing pruned that the hook made, nothing left."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.cluster import Object, path_of
from dev.runtime import CHART, CM, Runtime, runtime, within
from tests.conftest import TABLE
from tests.e2e import charts
from tests.e2e.leftovers import objects, remove_as_documented

# By label, Argo CD takes what carries the Application's name for its own, in every namespace: other tests' releases.
pytestmark = pytest.mark.alone
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
APPLICATION = f"{APPLICATIONS}/r"
REPO_SERVER = "/apis/apps/v1/namespaces/argocd/deployments/argocd-repo-server"


@pytest.fixture(params=["annotation", pytest.param("label", marks=pytest.mark.zoo)])
def release(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """A Runtime's surroundings, in an Argo CD that tracks by annotation (3.x) or by label (2.x)."""
    with runtime("e2e-gitops") as made:
        made.cluster.patch(CM, {"data": {"application.resourceTrackingMethod": request.param}})
        try:
            yield made
        finally:
            if made.cluster.get(APPLICATION):  # of a test that failed: its chart repository goes with the namespace
                made.cluster.delete(APPLICATION)
                made.cluster.patch(APPLICATION, {"metadata": {"finalizers": None}})
            made.cluster.patch(CM, {"data": {"application.resourceTrackingMethod": None}})


@pytest.fixture
def repository(release: Runtime, tmp_path: Path) -> str:
    """A chart repository in the cluster with the chart of this checkout; return its URL."""
    url = charts.serve(release, tmp_path, CHART)
    within(120, lambda: (release.cluster.get(REPO_SERVER) or {})["status"].get("readyReplicas") == 1)
    return url


def application(release: Runtime, repository: str) -> Object:
    """Return the Application, with the values that a test's helm would be given."""
    lines = [line.partition("=") for line in release.sets()[1::2]]
    source: dict[str, Any] = {
        "repoURL": repository,
        "chart": "gitops-runtime-auth",
        "targetRevision": "*",
        "helm": {"parameters": [{"name": name, "value": value} for name, _, value in lines]},
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "r", "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {
            "project": "default",
            "source": source,
            "destination": {"server": "https://kubernetes.default.svc", "namespace": release.name},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "retry": {"limit": 0}},
        },
    }


def state(release: Runtime) -> tuple[str, str]:
    status = (release.cluster.get(APPLICATION) or {}).get("status") or {}
    return (status.get("sync") or {}).get("status", ""), (status.get("health") or {}).get("status", "")


def synced(release: Runtime, seconds: float) -> None:
    """Wait until Argo CD calls it synced and healthy and there is one live key that all Deployments use."""
    try:
        within(seconds, lambda: state(release) == ("Synced", "Healthy") and release.settled())
    except AssertionError:
        status = (release.cluster.get(APPLICATION) or {}).get("status") or {}
        operation = (status.get("operationState") or {}).get("message")
        drifted = [r for r in status.get("resources") or [] if r.get("status") != "Synced"]
        raise AssertionError(
            f"{state(release)}, {operation}, {status.get('conditions')}, {drifted}, one key: {release.one_key()}"
        ) from None


def refreshed(release: Runtime) -> None:
    """Let Argo CD compare anew, and wait until it has."""
    key = "argocd.argoproj.io/refresh"
    release.cluster.patch(APPLICATION, {"metadata": {"annotations": {key: "hard"}}})
    within(30, lambda: key not in ((release.cluster.get(APPLICATION) or {})["metadata"].get("annotations") or {}))


def remove(release: Runtime) -> None:
    release.cluster.delete(APPLICATION)
    within(120, lambda: release.cluster.get(APPLICATION) is None, "gone, with the clean-up's hook")


def test_argocd_installs_keeps_and_removes_the_chart(
    release: Runtime, repository: str, record_property: Callable[[str, str], None]
) -> None:
    """From a refusal on, after which the sync is repeated by hand, as the page says: Argo CD would retry it."""
    before, failures = objects(release), release.login_failures()
    release.secret(release.name, password="not-the-password")
    release.cluster.create(APPLICATIONS, application(release, repository))
    try:
        within(120, lambda: operation(release).get("phase") == "Failed")
        assert "exit code 77" in str(operation(release)), operation(release)
        time.sleep(15)  # by now a first retry, after 5 s, would have come
        assert release.login_failures() - failures == 1
        assert release.deployment("app-proxy") == {}
        release.secret(release.name, password=f"password-of-{release.name}")
        subprocess.run(["argocd", "app", "sync", "r"], env=release.environment(), check=True, capture_output=True)
        synced(release, 60)
        first = release.key()
        assert first is not None
        refreshed(release)
        time.sleep(3)
        assert state(release) == ("Synced", "Healthy")
        assert release.key() == first, "the Secret that the hook made is neither pruned nor made anew"

        release.revoke(first)
        within(30, release.works)
        refreshed(release)
        synced(release, 90)
        second = release.key()
        assert second is not None
        assert release.restarted_for() == {second.id}
    finally:
        remove(release)
    hook = "ran, and nothing is left"
    try:
        within(60, lambda: objects(release) == before and release.keys() == [], "nothing is left")
    except AssertionError:
        hook = remove_as_documented(release, before)
    record_property(TABLE, f"Argo CD's PostDelete hook: {hook}")


@pytest.mark.zoo
@pytest.mark.parametrize("release", ["annotation"], indirect=True)
def test_a_password_that_comes_late_is_waited_for(release: Runtime, repository: str) -> None:
    password = path_of(release.name, "secrets", release.name)
    release.cluster.delete(password)
    made = application(release, repository)
    made["spec"]["source"]["helm"]["parameters"].append({"name": "hook.waitForSecrets", "value": "120"})
    release.cluster.create(APPLICATIONS, made)
    try:
        job = f"/apis/batch/v1/namespaces/{release.name}/jobs/r-auth-ensure"
        within(120, lambda: release.cluster.get(job) is not None)
        time.sleep(10)
        assert release.key() is None
        release.secret(release.name, password=f"password-of-{release.name}")
        synced(release, 180)
    finally:
        remove(release)


def operation(release: Runtime) -> dict[str, Any]:
    status = (release.cluster.get(APPLICATION) or {}).get("status") or {}
    found: dict[str, Any] = status.get("operationState") or {}
    return found
