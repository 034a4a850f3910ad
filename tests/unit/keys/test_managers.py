"""Who manages argocd-cm: one line per way of installing Argo CD, with the metadata that it was seen to leave."""

from typing import Any

import pytest

from gitops_runtime_auth.keys.managers import Kind, Manager, manager_of

STOCK = {"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"}
BY_CHART = {**STOCK, "helm.sh/chart": "argo-cd-9.1.0", "app.kubernetes.io/instance": "argo"}
RELEASE = {"meta.helm.sh/release-name": "argo", "meta.helm.sh/release-namespace": "argocd"}
OPERATOR = {"apiVersion": "argoproj.io/v1beta1", "kind": "ArgoCD", "name": "openshift-gitops", "controller": True}
TRACKED = {"argocd.argoproj.io/tracking-id": "argo-cd:/ConfigMap:argocd/argocd-cm"}


def configmap(
    labels: dict[str, str] = STOCK,
    annotations: dict[str, str] | None = None,
    owners: list[dict[str, Any]] | None = None,
    data: dict[str, str] | None = None,
) -> dict[str, Any]:
    metadata = {"name": "argocd-cm", "namespace": "argocd", "labels": labels, "annotations": annotations}
    return {"metadata": {**metadata, "ownerReferences": owners}, "data": data or {}}


@pytest.mark.parametrize(
    ("found", "kind", "name"),
    [
        (configmap(), Kind.NOBODY, ""),
        (configmap(BY_CHART, RELEASE), Kind.HELM, "argo"),
        (
            configmap({**STOCK, "app.kubernetes.io/managed-by": "gitops"}, owners=[OPERATOR]),
            Kind.OPERATOR,
            "openshift-gitops",
        ),
        (configmap(annotations=TRACKED), Kind.APPLICATION, "argo-cd"),
        # Installed by helm, then taken over by Argo CD itself: helm's annotations stay behind.
        (configmap(BY_CHART, {**RELEASE, **TRACKED}), Kind.APPLICATION, "argo-cd"),
        (configmap({**BY_CHART, "argocd.argoproj.io/instance": "self"}, RELEASE), Kind.APPLICATION, "self"),
        (configmap({**STOCK, "app.kubernetes.io/instance": "labelled"}), Kind.APPLICATION, "labelled"),
        (
            configmap({**STOCK, "my/app": "own"}, data={"application.instanceLabelKey": "my/app"}),
            Kind.APPLICATION,
            "own",
        ),
        (
            configmap(annotations={"argocd.argoproj.io/tracking-id": "team_argo:/ConfigMap:argocd/argocd-cm"}),
            Kind.APPLICATION,
            "team/argo",
        ),
        # An annotation that was copied from another object tracks that object.
        (configmap(annotations={"argocd.argoproj.io/tracking-id": "x:/ConfigMap:other/argocd-cm"}), Kind.NOBODY, ""),
        (
            configmap(
                {**BY_CHART, "helm.toolkit.fluxcd.io/name": "a", "helm.toolkit.fluxcd.io/namespace": "flux"}, RELEASE
            ),
            Kind.FLUX,
            "HelmRelease flux/a",
        ),
        (
            configmap({**STOCK, "kustomize.toolkit.fluxcd.io/name": "a", "kustomize.toolkit.fluxcd.io/namespace": "f"}),
            Kind.FLUX,
            "Kustomization f/a",
        ),
        (
            configmap({**STOCK, "argocd.argoproj.io/instance": "old"}, data={"application.instanceLabelKey": "my/app"}),
            Kind.APPLICATION,
            "old",
        ),
        (
            configmap(
                {**STOCK, "app.kubernetes.io/instance": "argo"},
                RELEASE,
                data={"application.instanceLabelKey": "app.kubernetes.io/instance"},
            ),
            Kind.HELM,
            "argo",
        ),
        (None, Kind.UNKNOWN, ""),
        ({"metadata": None, "data": None}, Kind.NOBODY, ""),
        (configmap(owners=[{**OPERATOR, "apiVersion": "example.com/v1"}]), Kind.NOBODY, ""),
    ],
)
def test_the_manager_is_told_from_the_metadata(found: dict[str, Any] | None, kind: Kind, name: str) -> None:
    manager = manager_of(found, "argocd")
    assert (manager.kind, manager.name) == (kind, name)


def test_only_what_nobody_puts_back_may_be_patched_by_the_hook() -> None:
    assert not manager_of(configmap(), "argocd").takes_changes_back
    for found in (configmap(BY_CHART, RELEASE), configmap(annotations=TRACKED), configmap(owners=[OPERATOR])):
        assert manager_of(found, "argocd").takes_changes_back


def test_a_name_that_could_run_a_command_is_no_name() -> None:
    for text in ("x; reboot", "$(reboot)", "`reboot`", "a b", "x\x1b[2J", "'"):
        assert manager_of(configmap(annotations={"meta.helm.sh/release-name": text}), "argocd").name == ""
        tracked = {"argocd.argoproj.io/tracking-id": f"{text}:/ConfigMap:argocd/argocd-cm"}
        assert manager_of(configmap(annotations=tracked), "argocd").name == ""


def test_the_release_and_its_chart_are_told_with_their_names() -> None:
    elsewhere = {**RELEASE, "meta.helm.sh/release-namespace": "elsewhere"}
    data = {"url": "https://argocd"}
    assert manager_of(configmap(BY_CHART, elsewhere, data=data), "argocd") == Manager(
        Kind.HELM, "argocd", "argo", "elsewhere", "argo-cd-9.1.0", of_argo_helm=True, settings=data
    )
    nameless = {"meta.helm.sh/release-name": "argo"}
    assert manager_of(configmap(STOCK, nameless), "argocd") == Manager(
        Kind.HELM, "argocd", "argo", "argocd", settings={}
    )
    assert manager_of(None, "argocd") == Manager(Kind.UNKNOWN, "argocd")


def test_the_argo_projects_chart_is_told_from_others_of_its_name() -> None:
    assert manager_of(configmap(BY_CHART, RELEASE), "argocd").of_argo_helm
    for other in ({"app.kubernetes.io/name": "argo-cd"}, {"helm.sh/chart": "platform-1.0.0"}):
        assert not manager_of(configmap({**BY_CHART, **other}, RELEASE), "argocd").of_argo_helm
