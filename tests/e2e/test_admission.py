"""What the API server itself forbids: this release's identities by its admission policies, a Job by a quota."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator

import pytest
import yaml

from dev.cluster import path_of
from dev.runtime import CHART, CONFIG, Runtime, runtime, within

WORKLOAD = {
    "replicas": 0,
    "selector": {"matchLabels": {"a": "b"}},
    "template": {
        "metadata": {"labels": {"a": "b"}, "annotations": {"mine": "1"}},
        "spec": {"containers": [{"name": "a", "image": "nothing.invalid/a"}]},
    },
}
DENIED = "denied request: this ServiceAccount may"


@pytest.fixture(scope="module")
def place() -> Iterator[Runtime]:
    with runtime("e2e-admission") as made:
        yield made


def _as_keeper(place: Runtime, *words: str, given: str = "") -> str:
    """Run kubectl with the key keeper's rights and return what it printed."""
    identity = f"--as=system:serviceaccount:{place.name}:r-key-keeper"
    command = ["kubectl", f"--kubeconfig={CONFIG}", "-n", place.name, identity, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=given)
    return done.stdout + done.stderr


def _patched(place: Runtime, workload: str, change: dict[str, object]) -> str:
    return _as_keeper(place, "patch", workload, "--type=merge", "-p", json.dumps(change))


def _annotated(**annotations: str | None) -> dict[str, object]:
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}


@pytest.fixture(scope="module")
def guarded(place: Runtime) -> Runtime:
    """The keeper's identity with its Role and the policies, a Deployment and a StatefulSet that take the key."""
    sets = ("--set", "keeper.admissionPolicy=true", "--set", "keeper.consumers={statefulset/consumer}")
    rendered = place.helm("template", "r", CHART, "--kube-version", "1.37", *sets)
    objects = [m for m in yaml.safe_load_all(rendered) if m]
    rights = {"Role", "RoleBinding", "ServiceAccount"}
    policies = [m for m in objects if m["kind"].startswith("ValidatingAdmissionPolicy")]
    made = [m for m in objects if m["kind"] in rights and m["metadata"]["name"] == "r-key-keeper"] + policies
    text = yaml.safe_dump_all(made)
    command = ["kubectl", f"--kubeconfig={CONFIG}", "-n", place.name, "apply", "-f", "-"]
    subprocess.run(command, input=text, text=True, check=True, capture_output=True)
    for manifest in policies:
        kind = manifest["kind"].lower()
        plural = f"{kind}s" if kind.endswith("binding") else f"{kind[:-1]}ies"
        place.goes_with_it(f"/apis/admissionregistration.k8s.io/v1/{plural}/{manifest['metadata']['name']}")
    apps = f"/apis/apps/v1/namespaces/{place.name}"
    place.cluster.create(f"{apps}/deployments", {"metadata": {"name": "r-event-reporter"}, "spec": WORKLOAD})
    place.cluster.create(
        f"{apps}/statefulsets", {"metadata": {"name": "consumer"}, "spec": {**WORKLOAD, "serviceName": "a"}}
    )
    # Until the policy is at work; a change that changes nothing would be allowed for ever.
    within(30, lambda: DENIED in _patched(place, "deployment/r-event-reporter", _annotated(mine=str(time.time()))))
    return place


@pytest.mark.parametrize("workload", ["deployment/r-event-reporter", "statefulset/consumer"])
def test_the_one_annotation_may_be_changed_and_nothing_else(guarded: Runtime, workload: str) -> None:
    for key in ("1", "2"):
        assert "patched" in _patched(guarded, workload, _annotated(**{"gitops-runtime-auth/key-id": key}))
    changes: tuple[dict[str, object], ...] = (
        _annotated(mine="2"),
        _annotated(mine=None),
        _annotated(other="1"),
        {"spec": {"template": {"spec": {"hostNetwork": True}}}},
        {"spec": {"template": {"metadata": {"labels": {"more": "1"}}}}},
        {"spec": {"replicas": 1}},
        {"spec": {"minReadySeconds": 1}},
        {"metadata": {"annotations": {"more": "1"}}},
        {"metadata": {"labels": {"more": "1"}}},
        {"metadata": {"finalizers": ["example.com/mine"]}},
    )
    for change in changes:
        assert DENIED in _patched(guarded, workload, change), change


def test_a_secret_may_be_made_but_none_with_a_service_accounts_token(guarded: Runtime) -> None:
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "argocd-token", "annotations": {"kubernetes.io/service-account.name": "default"}},
    }
    assert DENIED in _as_keeper(guarded, "create", "-f", "-", given=json.dumps(token))
    plain = {**token, "type": "Opaque", "metadata": {"name": "argocd-token"}}
    assert "created" in _as_keeper(guarded, "create", "-f", "-", given=json.dumps(plain))


def test_others_are_left_alone(guarded: Runtime) -> None:
    guarded.kubectl("patch", "deployment/r-event-reporter", "--type=merge", "-p", json.dumps(_annotated(mine="3")))


def test_the_releases_own_namespace_may_be_read_by_its_name_and_no_other(guarded: Runtime) -> None:
    assert guarded.name in _as_keeper(guarded, "get", "namespace", guarded.name)
    assert "forbidden" in _as_keeper(guarded, "get", "namespace", "default")


@pytest.mark.parametrize("program", ["helm", "helm4"])
def test_a_job_that_is_not_admitted_leaves_no_inline_password(place: Runtime, program: str) -> None:
    quota = path_of(place.name, "resourcequotas")
    place.cluster.create(quota, {"metadata": {"name": program}, "spec": {"hard": {"count/jobs.batch": "0"}}})
    within(30, lambda: (place.cluster.get(f"{quota}/{program}") or {}).get("status", {}).get("used") is not None)
    password = ("--set-string", "global.external-arg-cd.auth.password=a-canary")
    said = place.helm("install", "q", CHART, *password, "--timeout", "60s", program=program, check=False)
    assert "exceeded quota" in said
    secrets = (place.cluster.get(path_of(place.name, "secrets")) or {})["items"]
    canary = base64.b64encode(b"a-canary").decode()
    assert [s["metadata"]["name"] for s in secrets if canary in (s.get("data") or {}).values()] == []
    place.helm("uninstall", "q", "--no-hooks", program=program)
    place.cluster.delete(f"{quota}/{program}")
    rehearsal = ("create", "job", "x", "--image=nothing.invalid/a", "--dry-run=server")
    within(30, lambda: "created" in place.kubectl(*rehearsal, check=False), "a Job is admitted again")


def test_without_a_quota_the_rehearsal_is_over_at_once_and_the_job_runs(place: Runtime) -> None:
    password = ("--set-string", "global.external-arg-cd.auth.password=a-canary", "--set", "image.pullPolicy=Never")
    missing = ("--set", "image.repository=nothing.invalid/a")
    place.helm("install", "q", CHART, *password, *missing, "--timeout", "10s", check=False)
    jobs = {
        job["metadata"]["name"]
        for job in (place.cluster.get(f"/apis/batch/v1/namespaces/{place.name}/jobs") or {})["items"]
    }
    assert jobs == {"q-auth-ensure"}
    secrets = {
        secret["metadata"]["name"] for secret in (place.cluster.get(path_of(place.name, "secrets")) or {})["items"]
    }
    assert "q-auth-credential" not in secrets  # helm took it away with the Job's failure
    place.helm("uninstall", "q", "--no-hooks")
