"""The chart installed by Argo CD itself: hooks as sync phases, nothing pruned that the hook made, nothing left."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.cluster import Object, path_of
from dev.keys import KEY_SECRET
from dev.runtime import CHART, CM, CONSUMERS, Runtime, runtime, within
from tests.e2e import charts

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


def test_argocd_installs_keeps_and_removes_the_chart(release: Runtime, repository: str) -> None:
    release.cluster.create(APPLICATIONS, application(release, repository))
    try:
        synced(release, 180)
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
    secret = path_of(release.name, "secrets", KEY_SECRET)
    try:  # now and then Argo CD does not wait for the PostDelete hook that it has just made
        within(60, lambda: release.keys() == [] and release.cluster.get(secret) is None)
    except AssertionError:
        assert abandoned(release), "only what Argo CD did to the hook excuses it"
    assert [service for service in ("app-proxy", *CONSUMERS) if release.deployment(service)] == []


def abandoned(release: Runtime) -> bool:
    """Tell whether Argo CD has deleted what its hook's Job needs, and forgotten the Job.

    3.4 to 3.6 do so when their cache shows all hooks but the Job (``executeHooks`` in ``controller/hook.go``);
    docs/gitops.md says what to do then.
    """
    objects = (f"/apis/batch/v1/namespaces/{release.name}/jobs", f"/api/v1/namespaces/{release.name}/configmaps")
    job, settings = (release.cluster.get(f"{path}/r-auth-cleanup") for path in objects)
    return job is not None and settings is None


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


@pytest.mark.parametrize("release", ["annotation"], indirect=True)
def test_a_refused_password_is_sent_once(release: Runtime, repository: str) -> None:
    """With ``retry: {limit: 0}``, so that one run of the hook is judged: Argo CD repeats a failed sync."""
    release.secret(release.name, password="not-the-password")
    before = release.login_failures()
    release.cluster.create(APPLICATIONS, application(release, repository))
    try:
        within(120, lambda: operation(release).get("phase") == "Failed")
        assert "exit code 77" in str(operation(release)), operation(release)
        time.sleep(15)  # by now a first retry, after 5 s, would have come
        assert release.login_failures() - before == 1
        assert release.deployment("app-proxy") == {}
    finally:
        remove(release)


def operation(release: Runtime) -> dict[str, Any]:
    status = (release.cluster.get(APPLICATION) or {}).get("status") or {}
    found: dict[str, Any] = status.get("operationState") or {}
    return found
