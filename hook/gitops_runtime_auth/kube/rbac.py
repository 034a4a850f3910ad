"""Names the rule of a Role that is missing when Kubernetes refuses a request."""

import json
import re
from dataclasses import dataclass

from gitops_runtime_auth.errors import RbacError

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+(?P<watched>/watch)?(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
_SELECTED = re.compile(r"fieldSelector=metadata\.name=(?P<name>[^&]+)")
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9-]{1,63}:[a-z0-9.-]{1,253}")


@dataclass(frozen=True)
class Action:
    """A request in terms of Kubernetes' authorization: ``get secrets/x in namespace y``.

    Verb, resource and name are derived from the request as the API server does it
    (https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb).
    """

    request: str
    """Method and path, without the query."""
    verb: str
    resource: str = ""
    """Plural, empty if the path is not that of an object or collection."""
    group: str = ""
    namespace: str = ""
    """For a namespace itself, its own name, as in the API server."""
    name: str = ""
    subresource: str = ""

    @classmethod
    def of(cls, method: str, path: str) -> "Action":
        """Return the action of a request with ``method`` to ``path``, with or without a query."""
        bare, _, query = path.partition("?")
        found = _PATH.fullmatch(bare)
        if found is None:
            return cls(f"{method} {bare}", method)
        name, resource = found["name"] or "", found["resource"]
        namespace = found["namespace"] or (name if resource == "namespaces" else "")
        verb = "watch" if found["watched"] else _verb(method, name, query)
        selected = _SELECTED.search(query)  # the API server uses this as the name of a list or watch, too
        name = name or (selected["name"] if selected else "")
        return cls(f"{method} {bare}", verb, resource, found["group"] or "", namespace, name, found["sub"] or "")

    @property
    def object(self) -> str:
        """The object or collection in kubectl's form: ``deployments.apps/x``."""
        group, name = f".{self.group}" if self.group else "", f"/{self.name}" if self.name else ""
        return f"{self.resource}{group}{name}"

    def __str__(self) -> str:
        if not self.resource:
            return self.request
        where = f" in namespace {self.namespace}" if self.namespace and self.resource != "namespaces" else ""
        return f"{self.verb} {self.object}{where}"


def credential_refused() -> RbacError:
    """Return the error for HTTP 401."""
    return RbacError(
        "Kubernetes does not accept the credential that this runs with (HTTP 401).",
        "In a Pod it is the ServiceAccount's token: see that the ServiceAccount exists, then delete the Pod or"
        " run helm upgrade again. With a kubeconfig, log in again: kubectl auth whoami.",
    )


def rule_missing(action: Action, user: str) -> RbacError:
    """Return the error for an action that ``user`` (in the API server's form) has no right to."""
    if not action.resource:
        return RbacError(f"Kubernetes refuses {action.request} (HTTP 403).", "See kubectl auth can-i --list.")
    resource = f"{action.resource}/{action.subresource}" if action.subresource else action.resource
    names = {"resourceNames": [action.name]} if action.name else {}
    rule = {"apiGroups": [action.group], "resources": [resource], **names, "verbs": [action.verb]}
    known = _SERVICE_ACCOUNT.fullmatch(user) is not None
    who = user if known else f"system:serviceaccount:{action.namespace or 'NAMESPACE'}:NAME"
    grantee = f"ServiceAccount {user.split(':', 2)[2].replace(':', '/')}" if known else "the ServiceAccount"
    option = f" --subresource={action.subresource}" if action.subresource else ""
    flag = f" -n {action.namespace}" if action.namespace else ""
    return RbacError(
        f"Kubernetes refuses to {action} (HTTP 403).",
        f"Give {grantee} a Role with this rule, which the chart's Role has: {json.dumps(rule)}. What it may do now:"
        f" kubectl auth can-i {action.verb} {action.object}{option}{flag} --as {who}.",
    )


def _verb(method: str, name: str, query: str) -> str:
    if method == "GET":
        return "watch" if "watch=true" in query else "get" if name else "list"
    return "deletecollection" if method == "DELETE" and not name else _VERBS[method]
