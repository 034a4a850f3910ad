"""The main job: ``helm install`` connects a Runtime to a real Argo CD (test_refusals: or says what to do)."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes.client import ApiException

from dev.runtime import BLOCK, CHART, CONSUMERS, Runtime, runtime, within
from dev.sandbox import tools
from dev.sandbox.neighbours import MONITORING
from tests.chart.helm import FOREIGN, render

VARIANTS = ("password inline", "password in a Secret", "token inline", "token in a Secret")


@pytest.fixture
def fresh() -> Iterator[Runtime]:
    with runtime("e2e-install") as made:
        yield made


def environment(release: Runtime, service: str) -> dict[str, str]:
    """Return what the Deployment's own container sees."""
    program = "import json,os;print(json.dumps(dict(os.environ)))"
    words = ("exec", f"deploy/r-{service}", "--", "/app/bin/python", "-c", program)
    found: dict[str, str] = json.loads(release.kubectl(*words))
    return found


def values(release: Runtime, variant: str) -> list[str]:
    """Return the --set arguments of a variant, and make the Secret that it refers to."""
    kind = variant.split()[0]
    secret = f"password-of-{release.name}" if kind == "password" else release.key_by_hand("by-hand")
    sets = release.sets(**{f"{BLOCK}.auth.type": kind})
    if "inline" in variant:
        return [*sets, "--set-string", f"{BLOCK}.auth.{kind}={secret}"]
    release.secret("my-credential", mine=secret)
    ref = f"{BLOCK}.auth.{kind}SecretKeyRef"
    return [*sets, "--set", f"{ref}.name=my-credential,{ref}.key=mine"]


@pytest.mark.parametrize(
    ("variant", "program"),
    [
        pytest.param(variant, program, marks=[] if ("inline" in variant) == (program == "helm") else [pytest.mark.zoo])
        for variant in VARIANTS
        for program in ("helm", "helm4")
    ],
)
def test_every_variant_comes_up_and_each_deployments_own_credential_is_accepted(
    fresh: Runtime, variant: str, program: str
) -> None:
    """By one of the two helms, which render the same; in the zoo by the other."""
    fresh.install(*values(fresh, variant), program=str(tools.which(program)))
    for service in CONSUMERS:
        seen = environment(fresh, service)
        assert fresh.argocd.account(fresh.name, seen["ARGO_CD_TOKEN"]).name == fresh.name
        without_scheme = service == "gitops-operator"
        assert seen["ARGO_CD_URL"] == ("argocd-server.argocd:443" if without_scheme else "https://argocd-server.argocd")
        if not without_scheme:
            assert seen["ARGOCD_SERVER"] == "argocd-server.argocd:443"
            assert seen["ARGOCD_SERVER_ROOTPATH"] == ""
    proxy = environment(fresh, "app-proxy")
    if variant.startswith("password"):
        assert "ARGO_CD_TOKEN" not in proxy
        fresh.argocd.logout(fresh.argocd.login(proxy["ARGO_CD_USERNAME"], proxy["ARGO_CD_PASSWORD"]))
        (key,) = fresh.argocd.account(fresh.name, fresh.session).keys
        assert key.expires_at == 0
    else:
        assert not {"ARGO_CD_USERNAME", "ARGO_CD_PASSWORD"} & set(proxy)
        assert fresh.argocd.account(fresh.name, proxy["ARGO_CD_TOKEN"]).name == fresh.name
        assert fresh.keys() == ["by-hand"], "with a token of the user's, no key is made"


def test_type_on_the_command_line_decides_whatever_the_values_file_leaves_over(fresh: Runtime) -> None:
    token = fresh.key_by_hand("by-hand")
    both = [*fresh.sets(), "--set-string", f"{BLOCK}.auth.token={token}"]
    fresh.install(*both, "--set", f"{BLOCK}.auth.type=token")
    assert environment(fresh, "sources-server")["ARGO_CD_TOKEN"] == token
    fresh.install(*both, "--set", f"{BLOCK}.auth.type=password")
    assert environment(fresh, "sources-server")["ARGO_CD_TOKEN"] != token
    assert fresh.works()


def test_upgrades_keep_the_key_and_replace_a_revoked_one(fresh: Runtime) -> None:
    sets = fresh.sets(keeper__interval="3600")
    fresh.install(*sets)
    first = fresh.key()
    for _ in range(2):
        fresh.install(*sets)
        assert fresh.key() == first
    assert first is not None
    fresh.revoke(first)
    fresh.install(*sets)
    second = fresh.key()
    assert second is not None
    assert fresh.keys() == [second.id] != [first.id]


def test_a_missing_capability_is_added_by_a_hook_that_may(fresh: Runtime) -> None:
    """With the chart's own Role in Argo CD's namespace; tests/faults shows that it allows nothing else."""
    fresh.give(fresh.name, "login")
    fresh.install(*fresh.hook_alone(hook__enableApiKey="true", hook__argocdNamespace="argocd"))
    assert fresh.argocd.account(fresh.name, fresh.session).capabilities == {"apiKey", "login"}
    assert fresh.one_key()


def test_the_prometheus_operators_definitions_accept_the_alerts_and_the_monitor(fresh: Runtime) -> None:
    """Kubernetes drops fields that a definition does not know, unless it is asked to be strict."""
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for file in MONITORING.files():
        definition = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
        if fresh.cluster.get(f"{definitions}/{definition['metadata']['name']}") is None:
            fresh.create(definitions, definition)
    everything = Path(CHART, "ci", "everything-values.yaml").read_text(encoding="utf-8")
    ours = {o["kind"]: o for o in render(everything, "--namespace", fresh.name) if o["kind"] in FOREIGN}
    assert set(ours) == FOREIGN
    for kind, rendered in ours.items():
        path = f"/apis/monitoring.coreos.com/v1/namespaces/{fresh.name}/{kind.lower()}s"
        within(30, lambda path=path: fresh.cluster.get(path) is not None, f"{kind} is served")  # type: ignore[misc]
        with pytest.raises(ApiException, match=r'unknown field \\"spec\.unknown'):
            fresh.cluster.create(
                f"{path}?fieldValidation=Strict", {**rendered, "spec": rendered["spec"] | {"unknown": 1}}
            )
        fresh.cluster.create(f"{path}?fieldValidation=Strict", rendered)


@pytest.mark.zoo
def test_kustomize_without_hooks_leaves_the_key_to_the_keeper(fresh: Runtime, tmp_path: Path) -> None:
    """What docs/gitops.md says of ``helmCharts``: ``skipHooks: true``."""
    shutil.copytree(CHART, tmp_path / "charts" / "gitops-runtime-auth")
    values: dict[str, object] = {}
    for line in fresh.sets()[1::2]:
        path, _, value = line.partition("=")
        *folders, name = path.split(".")
        place = values
        for folder in folders:
            place = place.setdefault(folder, {})  # type: ignore[assignment]
        place[name] = yaml.safe_load(value)
    chart = {"name": "gitops-runtime-auth", "releaseName": "r", "namespace": fresh.name}
    kustomization = {
        "helmGlobals": {"chartHome": "charts"},
        "helmCharts": [{**chart, "valuesInline": values, "skipHooks": True}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    (tmp_path / "all.yaml").write_text(fresh.kubectl("kustomize", "--enable-helm", str(tmp_path)), encoding="utf-8")
    fresh.kubectl("apply", "-f", str(tmp_path / "all.yaml"))
    within(120, fresh.settled)
