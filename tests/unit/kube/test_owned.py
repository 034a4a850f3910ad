"""Whose an object is: this release's, somebody else's, or nobody's."""

from typing import Any

import pytest

from gitops_runtime_auth.kube import owned
from gitops_runtime_auth.release import Release

RELEASE = Release("r", "ns")
OURS = {"app.kubernetes.io/managed-by": "gitops-runtime-auth", "app.kubernetes.io/instance": "r"}


def marked(labels: object = None, annotations: object = None, **more: object) -> dict[str, Any]:
    return {"metadata": {"name": "x", "labels": labels, "annotations": annotations, **more}}


def test_metadata() -> None:
    mine = {"team": "a", "app.kubernetes.io/instance": "other"}
    notes = {"note": "b", "argocd.argoproj.io/sync-options": "Prune=true"}
    assert owned.metadata(RELEASE, "chart-1.2.3", "api-key", "n", mine, notes) == {
        "name": "n",
        "namespace": "ns",
        "labels": {
            "team": "a",
            "app.kubernetes.io/name": "gitops-runtime-auth",
            "app.kubernetes.io/managed-by": "gitops-runtime-auth",
            "app.kubernetes.io/instance": "r",
            "app.kubernetes.io/component": "api-key",
            "helm.sh/chart": "chart-1.2.3",
        },
        "annotations": {
            "note": "b",
            "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
            "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        },
    }


def test_what_is_written_is_known_again() -> None:
    made = {"metadata": owned.metadata(RELEASE, "c", "api-key", "n", {}, {})}
    assert owned.is_of(RELEASE, made)
    assert not owned.is_of(Release("other", "ns"), made)


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"metadata": None},
        {"metadata": "odd"},
        marked(),
        marked("odd"),
        marked({**OURS, "app.kubernetes.io/managed-by": "Helm"}),
        marked({**OURS, "app.kubernetes.io/instance": "R"}),
        marked({"app.kubernetes.io/instance": "r"}),
        marked({"app.kubernetes.io/managed-by": "gitops-runtime-auth"}),
    ],
)
def test_what_is_not_this_releases(found: dict[str, Any]) -> None:
    assert not owned.is_of(RELEASE, found)


@pytest.mark.parametrize(
    ("found", "owner"),
    [
        (marked({"app.kubernetes.io/managed-by": "Helm"}, {"meta.helm.sh/release-name": "a"}), "a (managed by Helm)"),
        (marked({"app.kubernetes.io/instance": "b"}), "b"),
        (marked({"app.kubernetes.io/instance": "b"}, {"meta.helm.sh/release-name": "a"}), "a"),
        (marked(OURS), "r (managed by gitops-runtime-auth)"),
        (marked({"app.kubernetes.io/managed-by": "some-operator"}), "some-operator"),
        (marked(ownerReferences=[{"kind": "ExternalSecret", "name": "e"}]), "ExternalSecret e"),
        (marked({"argocd.argoproj.io/instance": "app"}), "whoever set argocd.argoproj.io/instance"),
        (marked(None, {"argocd.argoproj.io/tracking-id": "app:/"}), "whoever set argocd.argoproj.io/tracking-id"),
        (marked({"kustomize.toolkit.fluxcd.io/name": "k"}), "whoever set kustomize.toolkit.fluxcd.io/name"),
        (
            marked({"reconcile.external-secrets.io/managed": "true"}),
            "whoever set reconcile.external-secrets.io/managed",
        ),
        (marked({"helm.sh/chart": "c"}), "whoever set helm.sh/chart"),
        (marked(None, {"meta.helm.sh/release-namespace": "n"}), "whoever set meta.helm.sh/release-namespace"),
        (marked({"app.kubernetes.io/managed-by": "a\x1b[2Jb" + "c" * 200}), "a[2Jb" + "c" * 95),
        (marked({"app.kubernetes.io/instance": "b\n", "app.kubernetes.io/managed-by": "c\r"}), "b (managed by c)"),
        (marked(ownerReferences=["odd"]), "None None"),
    ],
)
def test_somebody_elses(found: dict[str, Any], owner: str) -> None:
    assert owned.owner(found) == owner


def test_the_version_of_an_object() -> None:
    assert owned.version({"metadata": {"resourceVersion": "7"}}) == "7"
    assert owned.version({"metadata": {}}) == owned.version({}) == ""


@pytest.mark.parametrize(
    "found",
    [
        {},
        marked(),
        marked("odd", ["odd"]),
        marked({"team": "a", "app.kubernetes.io/name": "x"}, {"note": "b"}),
        marked({"nothelm.sh/chart": "x", "argocd.argoproj.io": "x", "xtoolkit.fluxcd.io/name": "k"}),
        marked(ownerReferences=[]),
        marked(ownerReferences="odd"),
        marked({"app.kubernetes.io/managed-by": "", "app.kubernetes.io/instance": ""}),
    ],
)
def test_nobodys(found: dict[str, Any]) -> None:
    assert owned.owner(found) == ""
