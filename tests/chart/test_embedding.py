"""The chart as a subchart: a parent's global alone drives it, its templates serve the parent's own Deployments."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.chart import helm

PARENT = Path(__file__).parent / "parent"
BLOCKS: dict[str, dict[str, Any]] = {
    "defaults": {"auth": {"type": "password"}},
    "password reference": {"auth": {"type": "password", "username": "alice"}},
    "inline password": {"auth": {"type": "password", "password": "p$$w: #"}},
    "inline token": {"auth": {"type": "token", "token": "tk"}},
    "url": {"auth": {"type": "password"}, "server": {"url": "https://a.example.com:8443/x", "caSecretKeyRef": None}},
}


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    folder = tmp_path / "parent"
    shutil.copytree(PARENT, folder)
    shutil.copytree(helm.CHART, folder / "charts" / "gitops-runtime-auth")
    return folder


def _contract(manifests: list[helm.Manifest], name: str) -> dict[str, Any]:
    seen = helm.environment(helm.one(manifests, "Deployment", name))
    return {key: value for key, value in seen.items() if key.startswith("ARGO")}


def _assert_same_environment(manifests: list[helm.Manifest]) -> None:
    assert _contract(manifests, "r-own") == _contract(manifests, "r-event-reporter")
    assert _contract(manifests, "r-own-proxy") == _contract(manifests, "r-app-proxy")
    own, ours = (helm.pod_spec(helm.one(manifests, "Deployment", f"r-{d}")) or {} for d in ("own", "event-reporter"))
    assert own["volumes"][0] == ours["volumes"][0]


@pytest.mark.parametrize("name", helm.HELMS)
def test_the_parents_values_alone_drive_the_subchart(parent: Path, name: str) -> None:
    manifests = helm.render(helm=name, chart=parent)
    _assert_same_environment(manifests)
    seen = _contract(manifests, "r-own")
    assert (seen["ARGO_CD_TOKEN"], seen["ARGOCD_SERVER"]) == (("my-token", "api-key"), "argocd-server.argocd:443")


@pytest.mark.parametrize("name", helm.HELMS)
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("key", ["external-arg-cd", "external-argo-cd"])
def test_a_parents_own_deployments_get_the_same_environment(
    parent: Path, block: dict[str, Any], key: str, name: str
) -> None:
    (parent / "values.yaml").write_text("gitops-runtime-auth: {enabled: true}\n", encoding="utf-8")
    manifests = helm.render({"global": {key: block}}, helm=name, chart=parent)
    _assert_same_environment(manifests)
    seen = _contract(manifests, "r-own-proxy")
    assert seen.get("ARGO_CD_USERNAME") == {"token": None}.get(
        block["auth"]["type"], block["auth"].get("username", "admin")
    )


@pytest.fixture
def aliased(parent: Path) -> Path:
    """The same parent, which calls the subchart by a name of its own: .Chart.Name is ``argoauth`` then."""
    metadata = (parent / "Chart.yaml").read_text(encoding="utf-8")
    (parent / "Chart.yaml").write_text(metadata.replace("    version: ", "    alias: argoauth\n    version: "))
    (parent / "values.yaml").write_text("argoauth: {}\n", encoding="utf-8")
    return parent


@pytest.mark.parametrize("name", helm.HELMS)
def test_an_aliased_subchart_lets_null_take_a_default_away(aliased: Path, name: str) -> None:
    (aliased / "templates/own.yaml").unlink()
    for block, mounted in (({}, True), ({"server": {"caSecretKeyRef": None}}, False)):
        manifests = helm.render({"global": {"external-arg-cd": block}}, helm=name, chart=aliased)
        spec = helm.pod_spec(helm.one(manifests, "Deployment", "r-app-proxy")) or {}
        assert ("ca" in {v["name"] for v in spec["volumes"]}) == mounted


@pytest.mark.parametrize("name", helm.HELMS)
def test_an_aliased_subchart_gives_the_same_environment(aliased: Path, name: str) -> None:
    block = {"auth": {"type": "token", "token": "tk"}, "server": {"svc": "argocd-server.argocd"}}
    _assert_same_environment(helm.render({"global": {"external-arg-cd": block}}, helm=name, chart=aliased))


@pytest.mark.parametrize("name", helm.HELMS)
def test_a_mistake_in_the_parents_global_is_refused(parent: Path, name: str) -> None:
    run = helm.template({"global": {"external-arg-cd": {"auth": {"tokn": "x"}}}}, helm=name, chart=parent)
    assert run.code == 1
    assert any("/global/external-arg-cd/auth/tokn" in line for line in run.refusals())


@pytest.mark.parametrize("name", helm.HELMS)
def test_a_parent_can_switch_it_off(parent: Path, name: str) -> None:
    (parent / "templates/own.yaml").unlink()
    assert helm.render({"gitops-runtime-auth": {"enabled": False}}, helm=name, chart=parent) == []
