"""Policies that others set: which user ids and labels are allowed, and what is put into everybody's Pods.

The API server enforces them here as ValidatingAdmissionPolicy and MutatingAdmissionPolicy, in one namespace.
"""

from collections.abc import Iterator, Mapping

import pytest
from kubernetes.client import ApiException

from dev.cluster import Object, path_of
from dev.keys import KEY_SECRET
from dev.runtime import CHART, IMAGE, Runtime, runtime, within
from tests.e2e.admission import bind, dry_run, inject, rule

pytestmark = pytest.mark.zoo
EVERYTHING = {
    "": ["configmaps", "pods", "secrets", "serviceaccounts", "services"],
    "apps": ["deployments"],
    "batch": ["jobs"],
    "rbac.authorization.k8s.io": ["roles", "rolebindings"],
}
"""By API group, the resources that this chart makes, the hook's own objects included."""
UID = 1000690000
"""What OpenShift would choose for the namespace."""


@pytest.fixture
def place() -> Iterator[Runtime]:
    with runtime("e2e-policies") as made:
        yield made


def require(place: Runtime, groups: Mapping[str, list[str]], expression: str, message: str) -> None:
    """Refuse what does not fulfil a CEL expression, and wait until that is so."""
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rule(groups)},
        "validations": [{"expression": expression, "message": message}],
    }
    bind(place, "ValidatingAdmissionPolicy", spec)
    within(30, lambda: message in refusal(place))


def refusal(place: Runtime) -> str:
    """Try to make a plain Pod with a user id of its own, and return what Kubernetes says against it."""
    try:
        dry_run(place, {"runAsUser": 1})
    except ApiException as e:
        return str(e.reason)
    return ""


def pods(place: Runtime, component: str) -> list[Object]:
    selector = f"labelSelector=app.kubernetes.io/component={component}"
    found: list[Object] = (place.cluster.get(f"{path_of(place.name, 'pods')}?{selector}") or {})["items"]
    return found


def test_the_user_ids_of_a_namespace(place: Runtime) -> None:
    """In the manner of OpenShift's ``restricted-v2``: the namespace's own id is set, and any other is refused."""
    ids = f"!has(object.spec.securityContext.runAsUser) || object.spec.securityContext.runAsUser == {UID}"
    message = "unable to validate against any security context constraint"
    require(place, {"": ["pods"]}, ids, message)
    security = f"Object.spec.securityContext{{runAsUser: {UID}, fsGroup: {UID}}}"
    expression = f"Object{{spec: Object.spec{{securityContext: {security}}}}}"
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    inject(place, mutation, "!has(object.spec.securityContext) || !has(object.spec.securityContext.runAsUser)")
    ours = [f"podSecurityContext.{key}=null" for key in ("runAsUser", "runAsGroup", "fsGroup")]
    place.install(*place.sets(), *(word for line in ours for word in ("--set", line)))
    assert place.settled()
    [pod] = pods(place, "app-proxy")
    assert pod["spec"]["securityContext"]["runAsUser"] == UID
    assert place.helm("test", "r").count("  accepted") == 7


def test_labels_that_every_object_must_have(place: Runtime) -> None:
    """``commonLabels`` reaches all: hook objects, their Pods, the key Secret, the record of refused passwords."""
    labelled = "has(object.metadata.labels) && 'team' in object.metadata.labels"
    helms_own = "has(object.type) && object.type == 'helm.sh/release.v1'"
    require(place, EVERYTHING, f"({helms_own}) || ({labelled})", "every object needs the label team")
    said = place.helm("install", "r", CHART, *place.sets(), check=False)
    assert "every object needs the label team" in said
    place.install(*place.sets(commonLabels__team="a"))
    assert place.settled()
    secret = place.cluster.get(path_of(place.name, "secrets", KEY_SECRET)) or {}
    assert secret["metadata"]["labels"]["team"] == "a"
    assert place.helm("test", "r").count("  accepted") == 7


def test_a_sidecar_that_never_ends(place: Runtime) -> None:
    """As a service mesh puts one into each Pod. The label with which meshes are told to leave Pods alone is a value."""
    command = "command: ['/app/bin/python', '-c', 'import time; time.sleep(3600)']"
    sidecar = f"Object.spec.containers{{name: 'proxy', image: '{IMAGE}', {command}}}"
    wanted = "!has(object.metadata.labels) || !('sidecar.istio.io/inject' in object.metadata.labels)"
    patch = f'[JSONPatch{{op: "add", path: "/spec/containers/-", value: {sidecar}}}]'
    inject(place, {"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}, wanted)
    label = r"hook.podLabels.sidecar\.istio\.io/inject=false"
    place.install(*place.sets(), "--set-string", label)
    assert place.settled()
    [pod] = pods(place, "event-reporter")
    assert [c["name"] for c in pod["spec"]["containers"]].count("proxy") == 1
    assert place.helm("test", "r").count("  accepted") == 7
    place.helm("uninstall", "r", "--wait")
    assert place.keys() == []
