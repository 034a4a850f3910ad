"""``ct install`` on a real cluster: every chart/ci case installs, passes ``helm test`` and goes, under `restricted`."""

import base64
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hook.cluster import secret_path
from tests.chart import helm
from tests.e2e.runtime import BLOCK, CHART, CONFIG, IMAGE, Runtime, runtime

PASSWORD = "a-password"
REPOSITORY, _, TAG = IMAGE.rpartition(":")


@pytest.fixture(scope="module")
def place() -> Iterator[Runtime]:
    """A namespace that enforces Pod Security `restricted`, with what the ci cases refer to."""
    with runtime("e2e-ct") as made:
        label = {"pod-security.kubernetes.io/enforce": "restricted"}
        made.cluster.patch(f"/api/v1/namespaces/{made.name}", {"metadata": {"labels": label}})
        made.account(f"{made.name}-robot", PASSWORD)
        made.secret("argocd-initial-admin-secret", password=PASSWORD)
        made.secret("my-argo-cd-token", token=made.argocd.create_key(f"{made.name}-robot", "ct", made.session))
        ca = made.cluster.get("/api/v1/namespaces/argocd/secrets/argocd-secret") or {}
        made.cluster.create(
            secret_path(made.name), {"metadata": {"name": "argocd-secret"}, "data": {"tls.crt": ca["data"]["tls.crt"]}}
        )
        made.cluster.create(f"/api/v1/namespaces/{made.name}/serviceaccounts", {"metadata": {"name": "event-reporter"}})
        yield made


def _chart(folder: Path, place: Runtime) -> Path:
    """A copy whose ci cases name what this cluster has; no Prometheus operator, no proxy, no vendor's image."""
    chart = Path(shutil.copytree(CHART, folder / "chart"))
    token = place.cluster.get(secret_path(place.name, "my-argo-cd-token")) or {}
    replaced = {
        "an-api-key": base64.b64decode(token["data"]["token"]).decode(),
        "username: admin": f"username: {place.name}-robot",
        "username: alice": f"username: {place.name}-robot",
        "https://argocd.example.com:8443/argocd": "https://argocd-server.argocd",
        "enabled: true, interval": "enabled: false, interval",
        "prometheusRule: {enabled: true": "prometheusRule: {enabled: false",
        "repository: example.com/event-reporter, tag: v1": f"repository: {REPOSITORY}, tag: {TAG}",
        "[/event-reporter]": "[gitops-runtime-auth]",
        "[--verbose]": "[agent, --insecure-skip-verify]",
        "http://proxy.example.com:3128": "",
    }
    for case in chart.glob("ci/*-values.yaml"):
        text = case.read_text(encoding="utf-8")
        for old, new in replaced.items():
            text = text.replace(old, new)
        case.write_text(text, encoding="utf-8")
    return chart


def test_ct_install(place: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "KUBECONFIG", CONFIG)
    extra = f"--set=image.repository={REPOSITORY} --set=image.tag={TAG} --set={BLOCK}.server.svc=argocd-server.argocd"
    run = helm.run(
        "ct",
        "install",
        "--config",
        helm.CHART.parent / "ct.yaml",
        "--charts",
        _chart(tmp_path, place),
        "--namespace",
        place.name,
        "--helm-extra-set-args",
        extra,
    )
    sys.stdout.write(run.out)
    assert run.code == 0, run.out + run.err
    assert run.out.count("Installing chart with values file") == 5
    left = place.cluster.get(f"/api/v1/namespaces/{place.name}/secrets") or {}
    assert "argocd-token" not in {secret["metadata"]["name"] for secret in left["items"]}
    assert [key.id for key in place.argocd.account(f"{place.name}-robot", place.session).keys] == ["ct"]


@pytest.mark.parametrize("program", helm.HELMS)
def test_a_second_release_in_the_namespace_is_refused_by_name(place: Runtime, program: str) -> None:
    robot = f"{place.name}-robot"
    sets = [*place.sets(robot), "--set", f"{BLOCK}.auth.password={PASSWORD}"]
    place.install(*sets)
    try:
        said = place.helm("install", "other", CHART, *sets, program=program, check=False)
        assert 'Secret "gitops-runtime-argo-cd-password"' in said
        assert '"r"' in said
        by_reference = place.sets(robot)
        said = place.helm("install", "other", CHART, *by_reference, "--timeout", "2m", program=program, check=False)
        assert "argocd-token" in said
        assert "is not this release's" in said
    finally:
        place.helm("uninstall", "other", program=program, check=False)
        place.helm("uninstall", "r")
