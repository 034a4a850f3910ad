"""The ``Status`` objects with which a Kubernetes API server refuses, to the letter of 1.37.

Sources: ``apimachinery/pkg/api/errors/errors.go``, ``apiserver/pkg/endpoints/handlers/responsewriters/errors.go`` and
the admission plugins named below. ``tests/faults/test_conversation_kubernetes.py`` compares them with a real one.
"""

from typing import Any

from tests.fakes.web import Answer, as_json

Cause = dict[str, str]


class RefusedError(Exception):
    """A request that is refused; ``answer`` is what goes back."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = _status(code, reason, message, details)
        self.answer: Answer = as_json(code, self.status)


def _status(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    given = {"details": {k: v for k, v in details.items() if v}} if details is not None else {}
    return {**status, **({"reason": reason} if reason else {}), **given, "code": code}


def _qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, name: str, group: str = "") -> RefusedError:
    """There is no such object."""
    message = f'{_qualified(resource, group)} "{name}" not found'
    return RefusedError(404, "NotFound", message, {"name": name, "group": group, "kind": resource})


def no_such_resource() -> RefusedError:
    """The API group is there, the resource is not."""
    return RefusedError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: str, name: str, group: str = "") -> RefusedError:
    """An object of that name exists."""
    message = f'{_qualified(resource, group)} "{name}" already exists'
    return RefusedError(409, "AlreadyExists", message, {"name": name, "group": group, "kind": resource})


def conflict(resource: str, name: str, why: str, group: str = "") -> RefusedError:
    """Somebody else has written it."""
    message = f'Operation cannot be fulfilled on {_qualified(resource, group)} "{name}": {why}'
    return RefusedError(409, "Conflict", message, {"name": name, "group": group, "kind": resource})


CHANGED = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(kind: str, name: str, causes: list[Cause], group: str = "") -> RefusedError:
    """The object breaks a rule of its kind. A cause has a ``reason``, a ``message`` and a ``field``."""
    told = [f"{cause['field']}: {cause['message']}" for cause in causes]
    listed = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    details = {"name": name, "group": group, "kind": kind, "causes": causes}
    return RefusedError(422, "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {listed}', details)


def bad_request(message: str) -> RefusedError:
    """The request makes no sense."""
    return RefusedError(400, "BadRequest", message)


def unsupported_media_type() -> RefusedError:
    """A body of another kind than this method takes."""
    return RefusedError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def not_allowed() -> RefusedError:
    """This method is not for such a path."""
    message = "the server does not allow this method on the requested resource"
    return RefusedError(405, "MethodNotAllowed", message, {})


def unauthorized() -> RefusedError:
    """The credential is not one, or has expired."""
    return RefusedError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: str, name: str, why: str, group: str = "", causes: list[Cause] | None = None) -> RefusedError:
    """Somebody says no: ``why`` follows after "is forbidden"."""
    quoted = f' "{name}"' if name else ""
    details = {"name": name, "group": group, "kind": resource, "causes": causes}
    return RefusedError(403, "Forbidden", f"{_qualified(resource, group)}{quoted} is forbidden: {why}", details)


def no_right(user: str, verb: str, resource: str, name: str, group: str, namespace: str) -> RefusedError:
    """RBAC says no (``responsewriters.ForbiddenStatusError``)."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    why = f'User "{user}" cannot {verb} resource "{resource}" in API group "{group}" {where}'
    return forbidden(resource.partition("/")[0], name, why, group)


def terminating(resource: str, name: str, namespace: str, group: str = "") -> RefusedError:
    """The namespace is being deleted (``plugin/namespace/lifecycle``)."""
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    return forbidden(resource, name, why, group, [cause])


def quota_exceeded(resource: str, name: str, quota: str, group: str = "") -> RefusedError:
    """A ResourceQuota is used up (``plugin/resourcequota``)."""
    counted = f"count/{_qualified(resource, group)}"
    why = f"exceeded quota: {quota}, requested: {counted}=1, used: {counted}=0, limited: {counted}=0"
    return forbidden(resource, name, why, group)


def denied_by_policy(resource: str, name: str, policy: str, words: str, group: str = "") -> RefusedError:
    """A ValidatingAdmissionPolicy says no (``plugin/policy/validating``): 422 unless it asks for another code."""
    why = f"ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {words}"
    made = forbidden(resource, name, why, group, [{"message": why}])
    made.status["reason"], made.status["code"], made.code = "Invalid", 422, 422
    made.answer = as_json(422, made.status)
    return made


def denied_by_webhook(webhook: str, words: str, code: int = 400) -> RefusedError:
    """An admission webhook says no (``plugin/webhook/errors``); the code is the webhook's own, else 400."""
    return RefusedError(code, "", f'admission webhook "{webhook}" denied the request: {words}')


def webhook_down(webhook: str) -> RefusedError:
    """An admission webhook with ``failurePolicy: Fail`` does not answer."""
    why = f'failed calling webhook "{webhook}": failed to call webhook: Post "https://x.y.svc:443/?timeout=10s": EOF'
    causes = [{"message": why}]
    return RefusedError(500, "InternalError", f"Internal error occurred: {why}", {"causes": causes})


def expired(asked: str, oldest: int) -> dict[str, Any]:
    """Return the Status in a watch's ERROR event: that resourceVersion is too old."""
    return _status(410, "Expired", f"too old resource version: {asked} ({oldest})")
