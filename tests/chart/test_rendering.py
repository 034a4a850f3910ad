"""What every rendering must be: valid for Kubernetes 1.30 to 1.37, labelled, restricted, deterministic, well named."""

import re
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml

from gitops_runtime_auth.timing import Timing
from tests.chart import helm

CASES = sorted(helm.CHART.glob("ci/*-values.yaml"))
LABELS = {"name", "instance", "component", "version", "managed-by"}
LONGEST = "a-release-name-of-the-full-length-that-helm-allows-53"
FIXED = {"gitops-runtime-argo-cd-password", "gitops-runtime-argo-cd-token"}
"""The documented fixed names of Secrets."""
CLUSTER_WIDE = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}

each_case = pytest.mark.parametrize("case", [c.name.removesuffix("-values.yaml") for c in CASES])


@cache
def _rendered(case: str, release: str = "r", name: str = "helm") -> list[helm.Manifest]:
    text = (helm.CHART / "ci" / f"{case}-values.yaml").read_text(encoding="utf-8")
    return helm.render(text, release=release, helm=name)


def _templates(manifest: helm.Manifest) -> list[dict[str, Any]]:
    """The metadata of an object and of its Pod template."""
    inner = [manifest["spec"]["template"]["metadata"]] if manifest["kind"] in ("Deployment", "Job") else []
    return [manifest["metadata"], *inner]


@each_case
def test_valid_for_kubernetes(case: str) -> None:
    for minor in range(30, 38):
        helm.validate(_rendered(case), f"1.{minor}")


def test_validation_can_fail() -> None:
    job = next(m for m in _rendered("password-ref") if m["kind"] == "Job")
    broken = {**job, "spec": {**job["spec"], "backofLimit": 1}}
    with pytest.raises(jsonschema.ValidationError):
        helm.validate([broken])


@each_case
def test_every_object_and_pod_template_has_the_standard_labels(case: str) -> None:
    for manifest in _rendered(case):
        for metadata in _templates(manifest):
            assert {f"app.kubernetes.io/{label}" for label in LABELS} | {"helm.sh/chart"} <= set(metadata["labels"])
            assert all(isinstance(v, str) and len(v) <= 63 for v in metadata["labels"].values())
        assert manifest["metadata"].get("namespace") == (
            None if manifest["kind"] in CLUSTER_WIDE else manifest["metadata"]["namespace"]
        )


def test_common_labels_and_annotations_are_on_every_object_and_pod() -> None:
    for manifest in _rendered("everything"):
        for metadata in _templates(manifest):
            assert metadata["labels"]["example.com/cost-center"] == "a", manifest["metadata"]["name"]
            assert metadata["annotations"]["example.com/owner"] == "a", manifest["metadata"]["name"]


@each_case
def test_selectors_fit_their_pods_and_no_others(case: str) -> None:
    seen = set()
    for manifest in _rendered(case):
        if manifest["kind"] == "Deployment":
            selector = manifest["spec"]["selector"]["matchLabels"]
            assert selector.items() <= manifest["spec"]["template"]["metadata"]["labels"].items()
            assert set(selector) == {f"app.kubernetes.io/{label}" for label in ("name", "instance", "component")}
            seen.add(selector["app.kubernetes.io/component"])
    assert seen == (
        {"key-keeper"} if case == "companion" else {"app-proxy", "sources-server", "event-reporter", "gitops-operator"}
    )


@each_case
@pytest.mark.parametrize("release", [LONGEST, "9.dotted.release"])
def test_names_stay_within_63_characters(case: str, release: str) -> None:
    assert len(LONGEST) == 53
    names = [(m["kind"], m["metadata"]["name"]) for m in _rendered(case, release)]
    for kind, name in names:
        assert len(name) <= (253 if kind in CLUSTER_WIDE else 63), name
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name)
    assert len(set(names)) == len(names)
    assert all("." not in name for kind, name in names if kind == "Service")


@pytest.mark.parametrize("sign", [".", "-"])
def test_a_name_that_is_cut_ends_in_no_dot_or_dash_and_carries_a_hash(sign: str) -> None:
    release = f"a-release-name-that-is-cut-right-be{sign}hind-a-sign"
    (name,) = (
        m["metadata"]["name"] for m in helm.render(release=release) if m["metadata"]["name"].endswith("rollback")
    )
    assert re.fullmatch(r"a-release-name-that-is-cut-right-be-[0-9a-f]{5}-auth-ensure-rollback", name)


@pytest.mark.parametrize("namespace", ["123", "true", "1e3"])
def test_namespaces_that_look_like_something_else_stay_strings(namespace: str) -> None:
    values = {
        "hook": {"enableApiKey": True, "argocdNamespace": namespace},
        "metrics": {"prometheusRule": {"enabled": True}},
    }
    manifests = helm.render(values, "--namespace", namespace)
    assert {m["metadata"]["namespace"] for m in manifests} == {namespace}
    subjects = [s for m in manifests for s in m.get("subjects", [])]
    assert len(subjects) == 6
    assert all(s["namespace"] == namespace for s in subjects)


@each_case
def test_two_releases_share_a_namespace_but_for_the_fixed_secret_names(case: str) -> None:
    # The long pair differs only where names are cut.
    for one, other in [("a", "a-auth"), (LONGEST, LONGEST[:-1] + "4")]:
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
    assert len(specs) == {"companion": 6, "token-ref": 9, "password-ref": 9}.get(case, 10)
    for name, spec in specs:
        _restricted(spec)
        container = spec["containers"][0]
        if "event-reporter" not in container["image"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            ids = [spec["securityContext"].get(key) for key in ("runAsUser", "runAsGroup", "fsGroup")]
            assert ids == [65532] * 3, name
        assert container["resources"].get("limits"), name


def _contexts(values: dict[str, Any], *flags: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    specs = [s for m in helm.render(values, *flags) if (s := helm.pod_spec(m))]
    return [(spec["securityContext"], spec["containers"][0]["securityContext"]) for spec in specs]


def test_security_contexts_are_laid_over_the_defaults_and_null_takes_away() -> None:
    values = {
        "podSecurityContext": {
            "runAsUser": 1000,
            "fsGroup": None,
            "seccompProfile": {"type": "Localhost", "localhostProfile": "a"},
        },
        "securityContext": {"readOnlyRootFilesystem": False, "allowPrivilegeEscalation": None},
    }
    for pod, container in _contexts(values):
        seccomp = {"type": "Localhost", "localhostProfile": "a"}
        assert pod == {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 65532, "seccompProfile": seccomp}
        assert container == {"readOnlyRootFilesystem": False, "capabilities": {"drop": ["ALL"]}}


def test_on_openshift_the_fixed_ids_are_left_out_unless_the_user_sets_them() -> None:
    flags = ("--api-versions", "security.openshift.io/v1")
    for pod, container in _contexts({}, *flags):
        assert pod == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert container["readOnlyRootFilesystem"] is True
    assert {pod["runAsUser"] for pod, _ in _contexts({"podSecurityContext": {"runAsUser": 5}}, *flags)} == {5}


@each_case
def test_rendering_is_deterministic_and_the_same_under_both_helms(case: str) -> None:
    first = _rendered(case)
    helm.forget()
    assert first == _rendered.__wrapped__(case)
    assert sorted(first, key=str) == sorted(_rendered(case, name="helm4"), key=str)


@each_case
def test_no_credential_outside_secrets(case: str) -> None:
    for manifest in _rendered(case):
        if manifest["kind"] != "Secret":
            text = yaml.safe_dump(manifest)
            assert "a-password" not in text
            assert "an-api-key" not in text


EVENTS = {
    "ensure": "pre-install,pre-upgrade,pre-rollback",
    "retire": "post-upgrade,post-rollback",
    "cleanup": "post-delete",
    "verify": "test",
    "hooks": "pre-install,pre-upgrade,pre-rollback,post-upgrade,post-rollback,post-delete",
}


def test_hooks_have_events_weights_and_policies_so_that_what_a_job_needs_comes_before_it() -> None:
    order = {
        "ServiceAccount": -30,
        "ConfigMap": -30,
        "NetworkPolicy": -30,
        "Role": -20,
        "RoleBinding": -10,
        "Secret": -1,
    }
    text = (helm.CHART / "ci" / "everything-values.yaml").read_text(encoding="utf-8")
    manifests = helm.render(text, "--set", "keeper.consumers={a}")
    hooks = [m for m in manifests if "helm.sh/hook" in m["metadata"].get("annotations", {})]
    # Of each of three commands: account, settings, Role, binding, Job; a second Job; Argo CD's Role and binding; the
    # rehearsal and the credential; of helm test account, Role, binding and Pod; the hooks' NetworkPolicy.
    assert len(hooks) == 3 * 5 + 1 + 2 + 2 + 4 + 1
    for manifest in hooks:
        annotations = manifest["metadata"]["annotations"]
        component = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
        name = manifest["metadata"]["name"]
        # In Helm 3, helm test --logs reads the log of a Pod with this name, whatever kind of hook it is.
        assert "test" not in annotations["helm.sh/hook"] or name == "r-auth-verify"
        jobs = {"r-auth-ensure": "pre-install,pre-upgrade", "r-auth-ensure-rollback": "pre-rollback"}
        events = jobs.get(name, EVENTS[component]) if manifest["kind"] == "Job" else EVENTS[component]
        assert annotations["helm.sh/hook"] == events, name
        weight = -2 if name == "r-auth-rehearsal" else order.get(manifest["kind"], 0)
        assert annotations["helm.sh/hook-weight"] == str(weight)
        kept = manifest["kind"] == "Pod"  # helm test --logs reads it after the test
        policy = "before-hook-creation" + ("" if kept else ",hook-succeeded")
        assert annotations["helm.sh/hook-delete-policy"] == policy
        log = {"Job": "hook-failed", "Pod": "hook-succeeded,hook-failed"}.get(manifest["kind"])
        log = {"r-auth-cleanup": log and "hook-succeeded,hook-failed", "r-auth-rehearsal": None}.get(name, log)
        assert annotations.get("helm.sh/hook-output-log-policy") == log, name


def test_before_an_inline_credential_is_handed_over_the_job_has_been_rehearsed() -> None:
    manifests = _rendered("password-inline")
    job, rehearsal = (helm.one(manifests, "Job", f"r-auth-{name}") for name in ("ensure", "rehearsal"))
    assert rehearsal["spec"]["completions"] == 0  # it is complete as soon as it is admitted
    # What a policy can look at is the same; but it must not name the Secret that is not there yet.
    told = yaml.safe_dump(job["spec"]).replace("r-auth-credential", "gitops-runtime-argo-cd-password")
    assert yaml.safe_dump({key: value for key, value in rehearsal["spec"].items() if key != "completions"}) == told
    assert rehearsal["metadata"]["labels"] == job["metadata"]["labels"]
    assert not [m for m in _rendered("password-ref") if m["metadata"]["name"] == "r-auth-rehearsal"]


def test_each_pod_has_time_to_end_in_order_before_it_is_killed() -> None:
    """Kubernetes kills what is left after ``terminationGracePeriodSeconds``; a Job's own deadline counts as well."""
    timing = Timing()
    for values in ({}, {"runtime": {"enabled": False}}):
        manifests = helm.render(values)
        for manifest in manifests:
            spec = helm.pod_spec(manifest) or {}
            needed = timing.terminates + timing.finishes_check * (spec.get("serviceAccountName") == "r-key-keeper")
            if spec.get("serviceAccountName"):
                assert spec["terminationGracePeriodSeconds"] > needed, manifest["metadata"]["name"]


@pytest.mark.parametrize(
    ("policy", "api", "there"),
    [
        (None, None, True),
        (None, "helm.toolkit.fluxcd.io/v2", False),
        (None, "helm.toolkit.fluxcd.io/v2beta2/HelmRelease", False),
        (None, "source.toolkit.fluxcd.io/v1", True),
        (None, "fleet.cattle.io/v1alpha1", False),
        (None, "helm.cattle.io/v1", True),  # k3s runs helm's command line
        ("auto", "helm.toolkit.fluxcd.io/v3", False),
        ("always", "helm.toolkit.fluxcd.io/v2", True),
        ("never", None, False),
    ],
)
def test_where_flux_is_no_hook_makes_helm_read_logs(policy: str | None, api: str | None, there: bool) -> None:
    values = {"hook": {"outputLogPolicy": policy}} if policy else {}
    manifests = helm.render(values, *(("--api-versions", api) if api else ()))
    found = [
        "helm.sh/hook-output-log-policy" in m["metadata"].get("annotations", {})
        for m in manifests
        if m["kind"] in ("Job", "Pod")
    ]
    assert found == [there] * 5


def test_switches_leave_out_whole_hooks() -> None:
    def events(values: dict[str, Any]) -> set[str]:
        return {
            e
            for m in helm.render(values)
            for e in m["metadata"].get("annotations", {}).get("helm.sh/hook", "").split(",")
        } - {""}

    every = {"pre-install", "pre-upgrade", "pre-rollback", "post-upgrade", "post-rollback", "post-delete", "test"}
    values = {"global": {"external-arg-cd": {"auth": {"password": "pw"}}}, "hook": {"enableApiKey": True}}
    assert events(values) == every
    assert events({**values, "hook": {"cleanup": {"enabled": False}}}) == every - {"post-delete"}
    assert events({**values, "hook": {"enabled": False, "enableApiKey": True}}) == {"test"}


@each_case
def test_every_mount_has_its_volume_and_every_volume_its_mount(case: str) -> None:
    for manifest in _rendered(case):
        spec = helm.pod_spec(manifest)
        if spec:
            names = [volume["name"] for volume in spec["volumes"]]
            assert sorted(names) == sorted({m["name"] for m in spec["containers"][0]["volumeMounts"]})


def test_what_a_cluster_policy_can_demand_reaches_every_pod_of_ours() -> None:
    pod = {
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "p",
        "runtimeClassName": "gvisor",
        "dnsConfig": {"options": [{"name": "ndots"}]},
        "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a"]}],
    }
    more = {
        "podLabels": {"team": "a"},
        "podAnnotations": {"note": "a"},
        "resources": {"limits": {"memory": "1Gi"}},
        "extraEnv": [{"name": "A", "value": "b"}],
        "extraVolumes": [{"name": "data", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    values = {
        "global": {"external-arg-cd": {"auth": {"password": "pw"}}},  # so that there is a rehearsal, too
        "hook": {
            **pod,
            **more,
            "labels": {"job": "a"},
            "annotations": {"job": "b"},
            "serviceAccount": {"annotations": {"role": "a"}},
        },
        "runtimeDefaults": {**pod, **more},
        "imagePullSecrets": [{"name": "mine"}],
        "app-proxy": {"enabled": False},
        "keeper": {"consumers": ["a"]},
    }
    manifests = helm.render(values)
    found = [m for m in manifests if helm.pod_spec(m)]
    assert len(found) == 5 + 1 + 4
    for manifest in found:
        spec, metadata = helm.pod_spec(manifest) or {}, _templates(manifest)[-1]
        assert {key: spec.get(key) for key in pod} == pod, manifest["metadata"]["name"]
        assert spec["imagePullSecrets"] == [{"name": "mine"}]
        assert (metadata["labels"]["team"], metadata["annotations"]["note"]) == ("a", "a")
        (container,) = spec["containers"]
        assert container["resources"]["limits"] == {"memory": "1Gi"}
        assert {"name": "A", "value": "b"} in container["env"]
        assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
        assert {"name": "data", "emptyDir": {}} in spec["volumes"]
        if manifest["kind"] == "Job":
            assert manifest["metadata"]["labels"]["job"] == "a"
            assert manifest["metadata"]["annotations"]["job"] == "b"
            assert "job" not in metadata["labels"]
    accounts = {
        m["metadata"]["name"]: m["metadata"].get("annotations", {}).get("role")
        for m in manifests
        if m["kind"] == "ServiceAccount"
    }
    assert accounts == {"r-key-keeper": None} | {f"r-auth-{c}": "a" for c in ("ensure", "retire", "cleanup", "verify")}


def test_globals_are_defaults_for_what_is_empty() -> None:
    shared = {
        "nodeSelector": {"from": "global"},
        "tolerations": [{"operator": "Exists"}],
        "imageRegistry": "registry.example.com/mirror/",
        "imagePullSecrets": ["one", {"name": "two"}],
        "httpProxy": "http://g:1",
        "httpsProxy": "http://g:2",
        "noProxy": ".global",
    }
    manifests = helm.render({"global": shared})
    for manifest in (m for m in manifests if helm.pod_spec(m)):
        spec, seen = helm.pod_spec(manifest) or {}, helm.environment(manifest)
        assert (spec["nodeSelector"], spec["tolerations"]) == ({"from": "global"}, [{"operator": "Exists"}])
        assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
        assert (
            spec["containers"][0]["image"]
            == "registry.example.com/mirror/gitops-runtime-auth/gitops-runtime-auth:0.1.0"
        )
        assert (seen["HTTP_PROXY"], seen["HTTPS_PROXY"]) == ("http://g:1", "http://g:2")
        assert seen["NO_PROXY"].startswith(".global,localhost")
    closer = {
        "nodeSelector": {"mine": "b"},
        "tolerations": [{"key": "mine", "operator": "Exists"}],
    }
    values = {
        "global": shared,
        "hook": closer,
        "runtimeDefaults": closer,
        "image": {"repository": "ghcr.io/fork/auth"},
        "imagePullSecrets": [{"name": "mine"}],
        "proxy": {"httpProxy": "http://p:1", "httpsProxy": "http://p:2", "noProxy": ".mine"},
    }
    for manifest in (m for m in helm.render(values) if helm.pod_spec(m)):
        spec, seen = helm.pod_spec(manifest) or {}, helm.environment(manifest)
        assert (spec["nodeSelector"], spec["tolerations"]) == (closer["nodeSelector"], closer["tolerations"])
        assert spec["imagePullSecrets"] == [{"name": "mine"}]
        assert spec["containers"][0]["image"] == "ghcr.io/fork/auth:0.1.0"
        assert (seen["HTTP_PROXY"], seen["HTTPS_PROXY"]) == ("http://p:1", "http://p:2")
        assert seen["NO_PROXY"].startswith(".mine,localhost")


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "of_service", "expected"),
    [
        ({"tag": "v9"}, {}, "ghcr.io/gitops-runtime-auth/gitops-runtime-auth:v9"),
        ({"tag": "v9", "digest": DIGEST}, {}, f"ghcr.io/gitops-runtime-auth/gitops-runtime-auth@{DIGEST}"),
        ({"digest": DIGEST}, {"tag": "v8"}, "ghcr.io/gitops-runtime-auth/gitops-runtime-auth:v8"),
        ({"tag": "v9"}, {"digest": DIGEST}, f"ghcr.io/gitops-runtime-auth/gitops-runtime-auth@{DIGEST}"),
        ({"tag": "v9"}, {"repository": "example.com/a"}, "example.com/a"),
        ({"digest": DIGEST}, {"repository": "example.com/a", "tag": "v8"}, "example.com/a:v8"),
        ({}, {"repository": "example.com/a", "tag": "v8", "digest": DIGEST}, f"example.com/a@{DIGEST}"),
    ],
)
def test_tag_and_digest_of_an_image(image: dict[str, str], of_service: dict[str, str], expected: str) -> None:
    manifests = helm.render({"image": image, "event-reporter": {"image": of_service}})
    assert (helm.pod_spec(helm.one(manifests, "Deployment", "r-event-reporter")) or {})["containers"][0][
        "image"
    ] == expected


def test_pull_policies() -> None:
    manifests = helm.render({"image": {"pullPolicy": "Never"}, "event-reporter": {"image": {"pullPolicy": "Always"}}})
    policies = {
        m["metadata"]["name"]: s["containers"][0]["imagePullPolicy"] for m in manifests if (s := helm.pod_spec(m))
    }
    assert policies.pop("r-event-reporter") == "Always"
    assert set(policies.values()) == {"Never"}


def test_what_the_services_have_in_common_stands_once_and_each_lays_its_own_over_it() -> None:
    values = {
        "runtimeDefaults": {"replicas": 2, "resources": {"limits": {"memory": "512Mi"}}, "image": {"tag": "v2"}},
        "event-reporter": {
            "replicas": 0,
            "resources": {"requests": {"cpu": "1"}},
            "image": {"pullPolicy": "Always"},
            "dnsConfig": {"nameservers": ["192.0.2.1"]},
        },
        "sources-server": {"resources": {"limits": None}},
        "gitops-operator": {"enabled": False},
    }
    manifests = helm.render(values)
    found = {m["metadata"]["name"]: m["spec"] for m in manifests if m["kind"] == "Deployment"}
    assert {name: spec["replicas"] for name, spec in found.items()} == {
        "r-app-proxy": 2,
        "r-sources-server": 2,
        "r-event-reporter": 0,
    }
    resources = {name: spec["template"]["spec"]["containers"][0]["resources"] for name, spec in found.items()}
    assert resources["r-app-proxy"] == {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    assert resources["r-event-reporter"] == {"requests": {"cpu": "1"}, "limits": {"memory": "512Mi"}}
    assert resources["r-sources-server"] == {"requests": {"cpu": "10m", "memory": "64Mi"}}
    spec = found["r-event-reporter"]["template"]["spec"]
    assert spec["dnsConfig"] == {"nameservers": ["192.0.2.1"]}
    (container,) = spec["containers"]
    assert (container["image"].rpartition(":")[2], container["imagePullPolicy"]) == ("v2", "Always")
