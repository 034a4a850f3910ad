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
    (folder / "charts").mkdir()
    (folder / "charts" / "gitops-runtime-auth").symlink_to(helm.CHART)
    return folder


def _contract(manifests: list[helm.Manifest], name: str) -> dict[str, Any]:
    seen = helm.environment(helm.one(manifests, "Deployment", name))
    return {key: value for key, value in seen.items() if key.startswith(("ARGO", "IS_"))}


def _assert_same_environment(manifests: list[helm.Manifest]) -> None:
    for own, ours in (("own", "event-reporter"), ("own-proxy", "app-proxy"), ("own-operator", "gitops-operator")):
        assert _contract(manifests, f"r-{own}") == _contract(manifests, f"r-{ours}")
    embedded, chart = (helm.one(manifests, "Deployment", f"r-{name}") for name in ("own", "event-reporter"))
    assert helm.volumes(embedded)["argocd-token"] == helm.volumes(chart)["argocd-token"]
    mounts = [(helm.pod_spec(m) or {})["containers"][0]["volumeMounts"] for m in (embedded, chart)]
    assert mounts[0][0] == mounts[1][0]
    address = {"ARGO_CD_URL", "ARGOCD_SERVER", "ARGOCD_SERVER_ROOTPATH"}
    ours_env = _contract(manifests, "r-event-reporter")
    assert _contract(manifests, "r-own-address") == {name: ours_env[name] for name in address}


@pytest.mark.parametrize("name", helm.HELMS)
def test_the_parents_values_alone_drive_the_subchart(parent: Path, name: str) -> None:
    manifests = helm.render(helm=name, chart=parent)
    _assert_same_environment(manifests)
    seen = _contract(manifests, "r-own")
    assert (seen["ARGO_CD_TOKEN"], seen["ARGOCD_SERVER"]) == (("my-token", "api-key"), "argocd-server.argocd:443")


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("key", ["external-arg-cd", "external-argo-cd", "integrations"])
def test_a_parents_own_deployments_get_the_same_environment(parent: Path, block: dict[str, Any], key: str) -> None:
    # The second is a value of the parent's own, which is called as one of this chart.
    values = "gitops-runtime-auth: {enabled: true}\nkeySecret: {name: of-the-parent}\n"
    (parent / "values.yaml").write_text(values, encoding="utf-8")
    third = {"argo-cd": {"server": {**block.get("server", {}), "auth": block["auth"]}}}
    manifests = helm.render({"global": {key: third if key == "integrations" else block}}, chart=parent)
    _assert_same_environment(manifests)
    seen = _contract(manifests, "r-own-proxy")
    assert seen.get("ARGO_CD_USERNAME") == {"token": None}.get(
        block["auth"]["type"], block["auth"].get("username", "admin")
    )
    annotations = helm.one(manifests, "Deployment", "r-own")["spec"]["template"]["metadata"]["annotations"]
    ours = helm.one(manifests, "Deployment", "r-app-proxy")["spec"]["template"]["metadata"].get("annotations", {})
    assert annotations["checksum/credential"] == ours.get("checksum/credential", "")


@pytest.fixture
def aliased(parent: Path) -> Path:
    """The same parent, which calls the subchart by a name of its own: .Chart.Name is ``argoauth`` then."""
    metadata = (parent / "Chart.yaml").read_text(encoding="utf-8")
    (parent / "Chart.yaml").write_text(metadata.replace("    version: ", "    alias: argoauth\n    version: "))
    (parent / "values.yaml").write_text("argoauth: {}\n", encoding="utf-8")
    return parent


@pytest.mark.parametrize("name", helm.HELMS)
def test_an_aliased_subchart_gives_the_same_environment_with_its_own_key_secret(aliased: Path, name: str) -> None:
    values = {
        "global": {"external-arg-cd": {"auth": {"username": "a"}, "server": {"svc": "argocd-server.argocd"}}},
        "argoauth": {"keySecret": {"name": "mine", "data": {"a": "token", "token": None}}},
    }
    manifests = helm.render(values, helm=name, chart=aliased)
    _assert_same_environment(manifests)
    assert _contract(manifests, "r-own")["ARGO_CD_TOKEN"] == ("mine", "a")
    assert (
        helm.one(manifests, "Job", "r-auth-ensure")["metadata"]["labels"]["app.kubernetes.io/name"]
        == "gitops-runtime-auth"
    )


def test_a_chart_that_only_shares_the_global_gets_the_defaults_of_the_rest(parent: Path, tmp_path: Path) -> None:
    # A sibling: it sees the templates, but not the values of this chart.
    sibling = parent / "charts" / "sibling"
    (sibling / "templates").mkdir(parents=True)
    (sibling / "Chart.yaml").write_text("apiVersion: v2\nname: sibling\nversion: 0.1.0\n", encoding="utf-8")
    own = (PARENT / "templates/own.yaml").read_text(encoding="utf-8")
    (sibling / "templates/own.yaml").write_text(own.replace("}}-own", "}}-sibling"), encoding="utf-8")
    manifests = helm.render({"global": {"external-arg-cd": {"auth": {"type": "token", "token": "tk"}}}}, chart=parent)
    assert _contract(manifests, "r-sibling") == _contract(manifests, "r-event-reporter")


@pytest.mark.parametrize("name", helm.HELMS)
def test_a_mistake_in_the_parents_global_is_refused(parent: Path, name: str) -> None:
    run = helm.template({"global": {"external-arg-cd": {"auth": {"tokn": "x"}}}}, helm=name, chart=parent)
    assert run.code == 1
    assert any("/global/external-arg-cd/auth/tokn" in line for line in run.refusals())


@pytest.mark.parametrize("name", helm.HELMS)
def test_a_parent_can_switch_it_off(parent: Path, name: str) -> None:
    (parent / "templates/own.yaml").unlink()
    assert helm.render({"gitops-runtime-auth": {"enabled": False}}, helm=name, chart=parent) == []
