"""A ConfigMap with a record: read, created, and replaced only in the version that was read."""

from copy import deepcopy

import pytest

from gitops_runtime_auth.errors import ConflictError
from gitops_runtime_auth.kube import configmap
from gitops_runtime_auth.kube.api import Cluster
from gitops_runtime_auth.kube.configmap import Spec
from gitops_runtime_auth.release import Release
from tests.fakes.kubernetes import FakeKubernetes

RELEASE = Release("r", "ns")
SPEC = Spec("r-auth-refused", "refused-password", {"team": "a"}, {"note": "b"})
PATH = "/api/v1/namespaces/ns/configmaps/r-auth-refused"


def test_created_read_and_replaced(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    assert configmap.read(cluster, "ns", "r-auth-refused") is None
    first = configmap.write(cluster, RELEASE, "c-1", SPEC, {"record": "{}"})
    assert configmap.read(cluster, "ns", "r-auth-refused") == ({"record": "{}"}, first)
    second = configmap.write(cluster, RELEASE, "c-1", SPEC, {}, first)
    assert configmap.read(cluster, "ns", "r-auth-refused") == ({}, second)
    assert second == kubernetes.objects[PATH]["metadata"]["resourceVersion"] != first
    for version in (first, ""):
        with pytest.raises(ConflictError):
            configmap.write(cluster, RELEASE, "c-1", SPEC, {"record": "lost"}, version)
    assert configmap.read(cluster, "ns", "r-auth-refused") == ({}, second)


@pytest.mark.parametrize("replaces", [False, True])
def test_a_lost_answer_is_no_conflict(kubernetes: FakeKubernetes, cluster: Cluster, replaces: bool) -> None:
    """The object is written, its answer lost, and the request that is sent again refused."""
    first = configmap.write(cluster, RELEASE, "c-1", SPEC, {"record": "{}"}) if replaces else ""
    lost = kubernetes.fault("PUT" if replaces else "POST", cut="after", times=1)
    version = configmap.write(cluster, RELEASE, "c-1", SPEC, {"record": "new"}, first)
    assert lost.met == 2, "it was sent again"
    assert configmap.read(cluster, "ns", "r-auth-refused") == ({"record": "new"}, version)


@pytest.mark.parametrize("differs", ["record", "team", "note", "gone"])
def test_what_somebody_else_wrote_meanwhile_is_a_conflict(
    kubernetes: FakeKubernetes, cluster: Cluster, differs: str
) -> None:
    first = configmap.write(cluster, RELEASE, "c-1", SPEC, {"record": "{}"})
    if differs == "gone":
        kubernetes.remove(PATH)
    else:
        theirs = deepcopy(kubernetes.objects[PATH])
        for part in (theirs["data"], theirs["metadata"]["labels"], theirs["metadata"]["annotations"]):
            if differs in part:
                part[differs] = "theirs"
        kubernetes.put(PATH, theirs)
    with pytest.raises(ConflictError):
        configmap.write(cluster, RELEASE, "c-1", SPEC, {"record": "{}"}, first)


def test_what_is_written(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    configmap.write(cluster, RELEASE, "c-1", SPEC, {"record": "{}"})
    version = configmap.write(
        cluster, RELEASE, "c-1", SPEC, {}, kubernetes.objects[PATH]["metadata"]["resourceVersion"]
    )
    metadata = {
        "name": "r-auth-refused",
        "namespace": "ns",
        "labels": {
            "team": "a",
            "app.kubernetes.io/name": "gitops-runtime-auth",
            "app.kubernetes.io/managed-by": "gitops-runtime-auth",
            "app.kubernetes.io/instance": "r",
            "app.kubernetes.io/component": "refused-password",
            "helm.sh/chart": "c-1",
        },
        "annotations": {
            "note": "b",
            "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
            "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        },
    }
    created, replaced = [request.object() for request in kubernetes.server.asked("POST|PUT")]
    assert created == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"record": "{}"}}
    assert replaced["metadata"].pop("resourceVersion") < version
    assert replaced == {**created, "data": {}}


def test_what_others_wrote(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    version = kubernetes.put(PATH, {})["metadata"]["resourceVersion"]
    assert configmap.read(cluster, "ns", "r-auth-refused") == ({}, version)
    version = kubernetes.put(PATH, {"data": {"record": 5, "other": "x"}})["metadata"]["resourceVersion"]
    assert configmap.read(cluster, "ns", "r-auth-refused") == ({"other": "x"}, version)
