"""What every rendering must be: valid for Kubernetes 1.30 to 1.37, labelled, restricted, deterministic, well named."""

import re
from functools import cache
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.chart import helm

CASES = sorted(helm.CHART.glob("ci/*-values.yaml"))
KUBERNETES = [f"1.{minor}" for minor in range(30, 38)]
LABELS = {"name", "instance", "component", "version", "managed-by"}
LONGEST = "a-release-name-of-the-full-length-that-helm-allows-53"
FIXED = {"gitops-runtime-argo-cd-password", "gitops-runtime-argo-cd-token"}
"""The documented fixed names of DESIGN section 2."""

each_case = pytest.mark.parametrize("case", [c.name.removesuffix("-values.yaml") for c in CASES])


@cache
def _rendered(case: str, release: str = "r", name: str = "helm") -> list[helm.Manifest]:
    text = (helm.CHART / "ci" / f"{case}-values.yaml").read_text(encoding="utf-8")
    return helm.render(text, release=release, helm=name)


def _same(one: list[helm.Manifest], other: list[helm.Manifest]) -> bool:
    return sorted(one, key=str) == sorted(other, key=str)


@each_case
@pytest.mark.parametrize("version", KUBERNETES)
def test_valid_for_kubernetes(case: str, version: str) -> None:
    for manifest in _rendered(case):
        if manifest["kind"] not in helm.FOREIGN:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_validation_can_fail() -> None:
    job = next(m for m in _rendered("password-ref") if m["kind"] == "Job")
    broken = {**job, "spec": {**job["spec"], "backofLimit": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.37", strict=True)


@each_case
def test_every_object_and_pod_template_has_the_standard_labels(case: str) -> None:
    for manifest in _rendered(case):
        metadatas = [manifest["metadata"]]
        if manifest["kind"] in ("Deployment", "Job"):
            metadatas.append(manifest["spec"]["template"]["metadata"])
        for metadata in metadatas:
            assert {f"app.kubernetes.io/{label}" for label in LABELS} | {"helm.sh/chart"} <= set(metadata["labels"])
            assert all(isinstance(v, str) and len(v) <= 63 for v in metadata["labels"].values())


@each_case
def test_selectors_fit_their_pods_and_no_others(case: str) -> None:
    seen = set()
    for manifest in _rendered(case):
        if manifest["kind"] == "Deployment":
            selector = manifest["spec"]["selector"]["matchLabels"]
            assert selector.items() <= manifest["spec"]["template"]["metadata"]["labels"].items()
            seen.add(selector["app.kubernetes.io/component"])
    assert len(seen) == 4


@each_case
@pytest.mark.parametrize("release", [LONGEST, "9.dotted.release"])
def test_names_stay_within_63_characters(case: str, release: str) -> None:
    assert len(LONGEST) == 53
    names = [(m["kind"], m["metadata"]["name"]) for m in _rendered(case, release)]
    assert all(len(name) <= 63 and re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name) for _, name in names)
    assert len(set(names)) == len(names)
    assert all("." not in name for kind, name in names if kind == "Service")


@pytest.mark.parametrize("namespace", ["123", "true", "1e3"])
def test_namespaces_that_look_like_something_else_stay_strings(namespace: str) -> None:
    values = {"hook": {"enableApiKey": True}, "metrics": {"prometheusRule": {"enabled": True}}}
    for given in (values, {**values, "hook": {"enableApiKey": True, "argocdNamespace": namespace}}):
        manifests = helm.render(given, "--namespace", namespace)
        assert {m["metadata"]["namespace"] for m in manifests} == {namespace}
        subjects = [s for m in manifests for s in m.get("subjects", [])]
        assert len(subjects) == 5
        assert all(s["namespace"] == namespace for s in subjects)


@each_case
def test_two_releases_share_a_namespace_but_for_the_fixed_secret_names(case: str) -> None:
    # The long pair differs only where names are cut.
    for one, other in [("a", "b"), ("a", "a-auth"), (LONGEST, LONGEST[:-1] + "4")]:
        names = [{(m["kind"], m["metadata"]["name"]) for m in _rendered(case, r)} for r in (one, other)]
        assert {name for _, name in names[0] & names[1]} <= FIXED


def _restricted(spec: dict[str, Any]) -> None:
    """Assert the Pod Security Standard `restricted` (Kubernetes' pod-security-standards page)."""
    assert not any(spec.get(word) for word in ("hostNetwork", "hostPID", "hostIPC"))
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod.get("runAsUser") != 0
    allowed = {"configMap", "downwardAPI", "emptyDir", "projected", "secret", "persistentVolumeClaim", "csi"}
    assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])
    for container in spec["containers"]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert not any("hostPort" in port for port in container.get("ports", []))


@each_case
def test_pods_meet_pod_security_restricted(case: str) -> None:
    specs = [(m["metadata"]["name"], s) for m in _rendered(case) if (s := helm.pod_spec(m))]
    assert len(specs) == 8
    for name, spec in specs:
        _restricted(spec)
        container = spec["containers"][0]
        if "event-reporter" not in container["image"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert spec["securityContext"]["runAsUser"] == 65532, name
        assert container["resources"].get("limits"), name


@each_case
def test_rendering_is_deterministic_and_the_same_under_both_helms(case: str) -> None:
    first = _rendered(case)
    assert first == _rendered.__wrapped__(case)
    assert _same(first, _rendered(case, name="helm4"))


@each_case
def test_no_credential_outside_secrets(case: str) -> None:
    for manifest in _rendered(case):
        if manifest["kind"] != "Secret":
            text = yaml.safe_dump(manifest)
            assert "a-password" not in text
            assert "an-api-key" not in text


def test_hook_weights_put_what_the_job_needs_before_it() -> None:
    order = {
        "ServiceAccount": -30,
        "ConfigMap": -30,
        "Secret": -30,
        "Role": -20,
        "RoleBinding": -10,
        "Job": 0,
        "Pod": 0,
    }
    hooks = [m for m in _rendered("everything") if "helm.sh/hook" in m["metadata"].get("annotations", {})]
    assert len(hooks) == 3 * 5 + 4
    for manifest in hooks:
        annotations = manifest["metadata"]["annotations"]
        assert annotations["helm.sh/hook-weight"] == str(order[manifest["kind"]])
        kept = manifest["kind"] == "Pod"  # helm test --logs reads it after the test
        policy = "before-hook-creation" + ("" if kept else ",hook-succeeded")
        assert annotations["helm.sh/hook-delete-policy"] == policy


@each_case
def test_every_mount_has_its_volume_and_every_volume_its_mount(case: str) -> None:
    for manifest in _rendered(case):
        spec = helm.pod_spec(manifest)
        if spec:
            names = [volume["name"] for volume in spec["volumes"]]
            assert sorted(names) == sorted({m["name"] for m in spec["containers"][0]["volumeMounts"]})


@each_case
def test_service_accounts_and_roles_exist_and_name_what_they_reach(case: str) -> None:
    manifests = _rendered(case)
    accounts = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
    for manifest in manifests:
        spec = helm.pod_spec(manifest) or {}
        if spec.get("automountServiceAccountToken"):
            assert spec["serviceAccountName"] in accounts | {"event-reporter"}
        for rule in manifest.get("rules", []):
            assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"])
            assert rule.get("resourceNames") or rule["verbs"] == ["create"], rule
