"""What a refusal of the Kubernetes API means: who refuses, what is told of it, and what never is."""

from pathlib import Path
from typing import Any

import pytest

from gitops_runtime_auth.errors import (
    AdmissionError,
    AnswerError,
    AuthError,
    ConfigurationError,
    ConflictError,
    NamespaceGoneError,
    RbacError,
    RefusedError,
    TemporaryError,
)
from gitops_runtime_auth.kube import denied
from gitops_runtime_auth.kube.api import Cluster
from tests.fakes import kubestatus
from tests.fakes.kubernetes import USER, FakeKubernetes, Rule

SECRETS, X = "/api/v1/namespaces/ns/secrets", "/api/v1/namespaces/ns/secrets/x"


def create(refusal: kubestatus.RefusedError, asked: str = "") -> AuthError:
    return denied.error(refusal.code, "POST", SECRETS, refusal.status, asked)


def status(code: int, message: str = "", **fields: Any) -> dict[str, Any]:
    return {"kind": "Status", "message": message, "code": code, **fields}


def told(error: AuthError) -> tuple[type[AuthError], str]:
    return type(error), error.problem


def test_a_quota() -> None:
    error = create(kubestatus.quota_exceeded("secrets", "x", "team.quota-1"))
    assert told(error) == (AdmissionError, 'Quota "team.quota-1" refuses to create secrets in namespace ns (HTTP 403).')
    assert error.remedy == (
        "kubectl -n ns describe resourcequota team.quota-1 shows what is used up: raise it, or delete what is not"
        " needed."
    )
    demanding = kubestatus.forbidden("pods", "x", "failed quota: cpu: must specify limits.cpu")
    assert create(demanding).problem.startswith('Quota "cpu" refuses')


def test_a_validating_admission_policy() -> None:
    error = create(kubestatus.denied_by_policy("secrets", "x", "labels.example.com", "s3cret-canary"))
    assert told(error) == (
        AdmissionError,
        'ValidatingAdmissionPolicy "labels.example.com" refuses to create secrets in namespace ns (HTTP 422).',
    )
    assert error.remedy == (
        "kubectl get validatingadmissionpolicy labels.example.com -o yaml shows its rule: change the object as the"
        " rule requires (labels and annotations are values of the chart), or exempt it."
    )
    assert "canary" not in str(vars(error))


@pytest.mark.parametrize("code", [401, 403, 413, 422])
@pytest.mark.parametrize("bound", [" with binding 'b'", ""])
def test_a_policy_chooses_its_code(code: int, bound: str) -> None:
    message = f"secrets \"x\" is forbidden: ValidatingAdmissionPolicy 'p'{bound} denied request: words"
    error = denied.error(code, "PUT", X, status(code, message))
    assert told(error) == (
        AdmissionError,
        f'ValidatingAdmissionPolicy "p" refuses to update secrets/x in namespace ns (HTTP {code}).',
    )


@pytest.mark.parametrize("message", ["policy 'p' with binding 'b' denied request: w", 'policy "p" denied request: w'])
@pytest.mark.parametrize("prefix", ["", 'secrets "x" is forbidden: ', "secrets is forbidden: ", "forbidden: "])
def test_a_mutating_admission_policy(message: str, prefix: str) -> None:
    error = denied.error(422, "PUT", X, status(422, prefix + message))
    assert told(error) == (
        AdmissionError,
        'The admission policy "p" refuses to update secrets/x in namespace ns (HTTP 422).',
    )
    assert error.remedy.startswith("kubectl get mutatingadmissionpolicy,validatingadmissionpolicy shows it: change the")


@pytest.mark.parametrize("code", [400, 403, 409, 418])
def test_a_webhook(code: int) -> None:
    error = create(kubestatus.denied_by_webhook("validate.kyverno.svc-fail", "s3cret-canary", code))
    assert told(error) == (
        AdmissionError,
        f'The admission webhook "validate.kyverno.svc-fail" refuses to create secrets in namespace ns (HTTP {code}).',
    )
    assert error.remedy.startswith("Ask the owner of this webhook for its rule: change the object")
    assert "canary" not in str(vars(error))


def test_a_webhook_that_is_down_may_come_back() -> None:
    error = create(kubestatus.webhook_down("down.example.com"), "7")
    assert told(error) == (TemporaryError, 'The admission webhook "down.example.com" can\'t be reached (HTTP 500).')
    assert error.remedy == "Its owner has to repair it: until then the API server accepts no such change."
    assert isinstance(error, TemporaryError)
    assert error.retry_after == 7


def test_pod_security() -> None:
    refusal = kubestatus.forbidden("pods", "x", 'violates PodSecurity "restricted:latest": runAsNonRoot != true')
    error = denied.error(403, "POST", "/api/v1/namespaces/ns/pods", refusal.status)
    assert told(error) == (
        AdmissionError,
        'The namespace\'s Pod Security level "restricted:latest" refuses to create pods in namespace ns (HTTP 403).',
    )
    assert error.remedy == (
        "kubectl get namespace ns -o yaml shows the level: install into a namespace with another level."
    )


@pytest.mark.parametrize(
    "message",
    [
        'admission webhook "\x1b[2Jx" denied the request: w',
        'admission webhook "a b" denied the request: w',
        'it says: admission webhook "x" denied the request: w',
        'secrets "x" is forbidden: exceeded quota: \x1b[2J, requested',
        'secrets "x" is forbidden: my exceeded quota: q, requested',
        f'secrets "x" is forbidden: exceeded quota: {"q" * 254}, requested',
        "words",
        "",
    ],
)
def test_a_403_of_an_unknown_plugin(message: str) -> None:
    error = denied.error(403, "POST", SECRETS, status(403, message))
    assert told(error) == (
        AdmissionError,
        "An admission plugin of the cluster refuses to create secrets in namespace ns (HTTP 403), whatever the Role"
        " allows.",
    )
    assert error.remedy == "Ask the cluster's administrator which admission plugins and policies it has."


def test_a_name_of_the_longest_kind() -> None:
    error = create(kubestatus.quota_exceeded("secrets", "x", "q" * 253))
    assert f'Quota "{"q" * 253}"' in error.problem


def test_no_right(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.allowed = {Rule("get", "", "configmaps")}
    with pytest.raises(RbacError) as raised:
        cluster.get(X)
    assert raised.value.problem == "Kubernetes refuses to get secrets/x in namespace ns (HTTP 403)."
    assert f"--as {USER}." in raised.value.remedy
    assert raised.value.exit_code == 77


@pytest.mark.parametrize("group", ["", "apps"])
def test_a_right_with_a_reason_of_the_authorizer(group: str) -> None:
    refusal = kubestatus.no_right("jane", "create", "secrets", "", group, "ns")
    refusal.status["message"] += ": RBAC: role.rbac.authorization.k8s.io not found"
    assert isinstance(create(refusal), RbacError)


def test_a_credential_that_is_refused(kubernetes: FakeKubernetes, cluster: Cluster, in_pod: Path) -> None:
    kubernetes.users.clear()
    with pytest.raises(RbacError, match=r"^Kubernetes does not accept the credential"):
        cluster.get(X)


def test_a_namespace_that_is_going(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    cluster.delete("/api/v1/namespaces/ns")
    with pytest.raises(NamespaceGoneError) as raised:
        cluster.create(SECRETS, {"metadata": {"name": "x"}})
    assert raised.value.problem == "Namespace ns is being deleted (HTTP 403)."
    assert raised.value.remedy == (
        "Nothing can be created in it. Install into another namespace, or wait until kubectl get namespace ns no longer"
        " shows it, and create it again."
    )
    kubernetes.finish_deletion("ns")
    with pytest.raises(NamespaceGoneError, match=r"^Namespace ns does not exist \(HTTP 404\)\.$"):
        cluster.create(SECRETS, {"metadata": {"name": "x"}})


@pytest.mark.parametrize("code", [403, 409])
def test_a_namespace_that_is_going_whatever_the_code(code: int) -> None:
    causes = [{"reason": "FieldValueInvalid"}, "odd", {"reason": "NamespaceTerminating"}]
    body = status(code, "words", details={"causes": causes})
    assert told(denied.error(code, "POST", SECRETS, body)) == (
        NamespaceGoneError,
        f"Namespace ns is being deleted (HTTP {code}).",
    )


def test_a_conflict() -> None:
    assert told(create(kubestatus.already_exists("secrets", "x"))) == (
        ConflictError,
        "secrets/x was changed by somebody else in the meantime.",
    )
    stale = kubestatus.conflict("secrets", "x", kubestatus.CHANGED)
    assert denied.error(409, "PUT", X, stale.status).problem == (
        "secrets/x was changed by somebody else in the meantime."
    )
    odd = denied.error(409, "POST", SECRETS, status(409, details={"name": "\x1b[2J"}))
    nameless = denied.error(409, "POST", SECRETS, status(409, details={}))
    assert odd.problem == nameless.problem == "secrets was changed by somebody else in the meantime."


def test_a_quota_that_many_count_at_once() -> None:
    busy = kubestatus.conflict("resourcequotas", "q", kubestatus.CHANGED)
    assert told(create(busy, "3")) == (TemporaryError, "The Kubernetes API is busy (HTTP 409).")


def test_a_quota_that_is_not_yet_counted() -> None:
    unknown = kubestatus.forbidden("secrets", "x", "status unknown for quota: q, resources: count/secrets")
    error = create(unknown)
    assert told(error) == (TemporaryError, 'The cluster has not yet counted what quota "q" limits (HTTP 403).')
    assert error.remedy == "That takes a few seconds after a quota is created: try again."


def test_an_invalid_object(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    with pytest.raises(ConfigurationError) as raised:
        cluster.create(SECRETS, {"metadata": {"name": "x", "labels": {"a": "s3cret canary"}}})
    assert raised.value.problem == "Kubernetes finds secrets invalid: metadata.labels (HTTP 422)."
    assert raised.value.remedy == (
        "Correct the values that it is made from: names, labels and annotations must have the form that"
        " Kubernetes allows."
    )
    assert "canary" not in str(vars(raised.value))


def test_invalid_fields_are_told_once_and_in_order_and_only_as_names() -> None:
    fields = ["spec.b", "data[a.b]", "\x1b[2J", "spec.b", "x" * 201, "has blank"]
    body = status(422, details={"causes": [{"reason": "Odd"}, *({"field": field} for field in fields)]})
    error = denied.error(422, "PUT", X, body)
    assert error.problem == "Kubernetes finds secrets/x invalid: data[a.b], spec.b (HTTP 422)."
    assert denied.error(422, "PUT", X, status(422)).problem == "Kubernetes finds secrets/x invalid (HTTP 422)."


@pytest.mark.parametrize("details", [None, [], "odd", {"causes": "odd"}, {"causes": {"a": "b"}}, {"causes": ["odd"]}])
def test_details_of_any_shape(details: Any) -> None:
    assert isinstance(denied.error(409, "PUT", X, status(409, details=details)), ConflictError)
    assert isinstance(denied.error(404, "POST", SECRETS, status(404, details=details)), AnswerError)


def test_anything_else() -> None:
    error = denied.error(400, "POST", f"{SECRETS}?x=y", status(400, "s3cret-canary"))
    assert told(error) == (AnswerError, f"Kubernetes answers POST {SECRETS} with HTTP 400.")
    assert error.remedy == "The API server's log says why: see there, or ask the cluster's administrator."
    assert isinstance(error, AnswerError)
    assert error.status == 400


@pytest.mark.parametrize("body", [None, {}, {"kind": "Secret"}, {"message": "RBAC: access denied"}])
@pytest.mark.parametrize("code", [401, 403, 404, 409, 418, 422])
def test_an_answer_that_is_not_from_kubernetes(code: int, body: dict[str, Any] | None) -> None:
    error = denied.error(code, "GET", f"{X}?a=b", body)
    assert error.problem == f"Something other than the Kubernetes API answers GET {X} (HTTP {code})."
    assert error.remedy == (
        "A proxy or a service mesh is in between: exclude the API server from it (NO_PROXY, or the mesh's annotation"
        " for Pods that need no sidecar)."
    )
    assert type(error) is (RefusedError if code in (401, 403) else AnswerError)
    if isinstance(error, AnswerError):
        assert error.status == code


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [None, status(0)])
def test_busy(code: int, body: dict[str, Any] | None) -> None:
    error = denied.error(code, "GET", X, body, "4")
    assert told(error) == (TemporaryError, f"The Kubernetes API is busy (HTTP {code}).")
    assert error.remedy == "Try again when the API server is healthy."
    assert isinstance(error, TemporaryError)
    assert (error.retry_after, error.sent) == (4, True)


def test_status_objects() -> None:
    assert denied.is_status({"kind": "Status"})
    assert not denied.is_status({"kind": "Secret"})
    assert not denied.is_status({})
    assert not denied.is_status(None)
