"""Explains why a request to the Kubernetes API failed: one error per cause that a user can fix.

The API server answers with a ``Status`` object. Its ``reason`` and ``details.causes`` say only for some causes who
refused; a quota or an admission policy can be recognized only by the fixed beginning of ``message``. Of a message only
a name is put into the error, because the rest may quote what was sent. Sources, all of Kubernetes 1.37:
``apiserver/pkg/endpoints/handlers/responsewriters/errors.go`` (RBAC),
``apiserver/pkg/admission/plugin/{resourcequota/controller.go,policy/validating/dispatcher.go,
webhook/errors/statuserror.go,namespace/lifecycle/admission.go}``, ``pod-security-admission/admission/admission.go``.
"""

import re
import ssl
from typing import Any

from gitops_runtime_auth.errors import (
    AdmissionError,
    AnswerError,
    AuthError,
    ConfigurationError,
    ConflictError,
    NamespaceGoneError,
    RefusedError,
    TemporaryError,
    UnreachableError,
)
from gitops_runtime_auth.kube.rbac import Action, credential_refused, rule_missing
from gitops_runtime_auth.retry import asked_to_wait

_BUSY = {408, 429, 500, 502, 503, 504}
_NAME = r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}"
"""Names of a quota, policy or webhook, as Kubernetes allows them. Nothing else of a message is shown."""
_FORBIDDEN = r"(?:\S+ (?:\"[^\"]*\" )?is )?forbidden: "
_QUOTA_UNKNOWN = re.compile(rf"{_FORBIDDEN}status unknown for quota: (?P<name>{_NAME}),")
_WEBHOOK_DOWN = re.compile(rf"Internal error occurred: failed calling webhook \"(?P<name>{_NAME})\"")
_USER = re.compile(rf"{_FORBIDDEN}User \"(?P<user>[^\"]*)\" cannot ")
_FIELD = re.compile(r"[A-Za-z0-9_.\[\]/-]{1,200}")
_MEND = "change the object as the rule requires (labels and annotations are values of the chart), or exempt it."
_ADMISSION = [
    (
        re.compile(rf"{_FORBIDDEN}(?:exceeded|failed) quota: (?P<name>{_NAME})[,:]"),
        "Quota",
        "kubectl -n {namespace} describe resourcequota {name} shows what is used up: raise it, or delete what is not"
        " needed.",
    ),
    (
        re.compile(rf"{_FORBIDDEN}ValidatingAdmissionPolicy '(?P<name>{_NAME})' (?:with binding|denied request)"),
        "ValidatingAdmissionPolicy",
        f"kubectl get validatingadmissionpolicy {{name}} -o yaml shows its rule: {_MEND}",
    ),
    (
        re.compile(rf"(?:{_FORBIDDEN})?policy ['\"](?P<name>{_NAME})['\"] (?:with binding|denied request)"),
        "The admission policy",
        f"kubectl get mutatingadmissionpolicy,validatingadmissionpolicy shows it: {_MEND}",
    ),
    (
        re.compile(rf"admission webhook \"(?P<name>{_NAME})\" denied the request"),
        "The admission webhook",
        f"Ask the owner of this webhook for its rule: {_MEND}",
    ),
    (
        re.compile(rf"{_FORBIDDEN}violates PodSecurity \"(?P<name>{_NAME})\": "),
        "The namespace's Pod Security level",
        "kubectl get namespace {namespace} -o yaml shows the level: install into a namespace with another level.",
    ),
]
"""Beginning of the message, who refuses, and the remedy."""


def no_answer(failure: BaseException) -> AuthError:
    """Return the error for a request that got no answer, or only a part of one."""
    cause = failure.args[0] if failure.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"The certificate of the Kubernetes API can't be verified ({cause.verify_message}).",
            "In a Pod: see that no proxy or service mesh is in front of the API server. With a kubeconfig: correct its"
            " certificate-authority.",
        )
    return UnreachableError(
        f"The Kubernetes API does not answer ({type(failure).__name__}).",
        "Check the network policies and the API server's health, then try again.",
        sent=True,
    )


def is_status(body: dict[str, Any] | None) -> bool:
    """Tell whether this is a ``Status`` object, as every refusal of the API server is."""
    return body is not None and body.get("kind") == "Status"


def error(status: int, method: str, path: str, body: dict[str, Any] | None, asked: str = "") -> AuthError:
    """Return the error for an answer with HTTP ``status``, ``body`` and ``Retry-After`` (``asked``)."""
    action = Action.of(method, path)
    if body is None or not is_status(body):
        return _not_kubernetes(status, action, asked)
    message = str(body.get("message", ""))
    return (
        _temporary(status, message, body, asked)
        or _namespace_gone(status, action, body)
        or _admission(status, action, message)
        or _authorization(status, action, message)
        or _of_the_object(status, action, body)
    )


def _not_kubernetes(status: int, action: Action, asked: str) -> AuthError:
    if status in _BUSY:  # from a load balancer, or from an API server that is too busy for a Status
        return _busy(status, asked)
    problem = f"Something other than the Kubernetes API answers {action.request} (HTTP {status})."
    remedy = (
        "A proxy or a service mesh is in between: exclude the API server from it (NO_PROXY, or the mesh's annotation"
        " for Pods that need no sidecar)."
    )
    if status in (401, 403):
        return RefusedError(problem, remedy)
    return AnswerError(problem, remedy, status=status)


def _busy(status: int, asked: str) -> TemporaryError:
    return TemporaryError(
        f"The Kubernetes API is busy (HTTP {status}).",
        "Try again when the API server is healthy.",
        retry_after=asked_to_wait(asked),
    )


def _temporary(status: int, message: str, body: dict[str, Any], asked: str) -> AuthError | None:
    webhook, quota = _WEBHOOK_DOWN.match(message), _QUOTA_UNKNOWN.match(message)
    if webhook:
        return TemporaryError(
            f'The admission webhook "{webhook["name"]}" can\'t be reached (HTTP {status}).',
            "Its owner has to repair it: until then the API server accepts no such change.",
            retry_after=asked_to_wait(asked),
        )
    if quota:
        return TemporaryError(
            f'The cluster has not yet counted what quota "{quota["name"]}" limits (HTTP {status}).',
            "That takes a few seconds after a quota is created: try again.",
        )
    if status in _BUSY:
        return _busy(status, asked)
    if status == 409 and _details(body).get("kind") == "resourcequotas":
        return _busy(status, asked)  # several requests changed the quota's count at once
    return None


def _namespace_gone(status: int, action: Action, body: dict[str, Any]) -> AuthError | None:
    terminating = "NamespaceTerminating" in (cause.get("reason") for cause in _causes(body))
    absent = status == 404 and _details(body).get("kind") == "namespaces"
    if not terminating and not absent:
        return None
    return NamespaceGoneError(
        f"Namespace {action.namespace} {'is being deleted' if terminating else 'does not exist'} (HTTP {status}).",
        f"Nothing can be created in it. Install into another namespace, or wait until kubectl get namespace"
        f" {action.namespace} no longer shows it, and create it again.",
    )


def _admission(status: int, action: Action, message: str) -> AuthError | None:
    for pattern, who, remedy in _ADMISSION:
        found = pattern.match(message)
        if found:
            name = found["name"]
            return AdmissionError(
                f'{who} "{name}" refuses to {action} (HTTP {status}).',
                remedy.format(name=name, namespace=action.namespace),
            )
    return None


def _authorization(status: int, action: Action, message: str) -> AuthError | None:
    if status == 401:
        return credential_refused()
    if status != 403:
        return None
    user = _USER.match(message)
    if user:
        return rule_missing(action, user["user"])
    return AdmissionError(
        f"An admission plugin of the cluster refuses to {action} (HTTP 403), whatever the Role allows.",
        "Ask the cluster's administrator which admission plugins and policies it has.",
    )


def _of_the_object(status: int, action: Action, body: dict[str, Any]) -> AuthError:
    if status == 409:
        name = str(_details(body).get("name", ""))
        made = f"{action.object}/{name}" if not action.name and re.fullmatch(_NAME, name) else action.object
        return ConflictError(made)
    fields = [str(cause.get("field", "")) for cause in _causes(body)]
    if status == 422:
        shown = sorted({field for field in fields if _FIELD.fullmatch(field)})
        return ConfigurationError(
            f"Kubernetes finds {action.object} invalid{': ' if shown else ''}{', '.join(shown)} (HTTP 422).",
            "Correct the values that it is made from: names, labels and annotations must have the form that Kubernetes"
            " allows.",
        )
    return AnswerError(
        f"Kubernetes answers {action.request} with HTTP {status}.",
        "The API server's log says why: see there, or ask the cluster's administrator.",
        status=status,
    )


def _details(body: dict[str, Any]) -> dict[str, Any]:
    found = body.get("details")
    return found if isinstance(found, dict) else {}


def _causes(body: dict[str, Any]) -> list[dict[str, Any]]:
    found = _details(body).get("causes")
    return [cause for cause in found if isinstance(cause, dict)] if isinstance(found, list) else []
