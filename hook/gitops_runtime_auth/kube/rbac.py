"""What a refusal of the Kubernetes API says: which rule is missing, in RBAC's own words."""

import json
import re

from gitops_runtime_auth.errors import RbacError

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)


def refused(status: int, method: str, path: str) -> RbacError:
    """Return the error for a request that Kubernetes answered with 401 or 403 (``status``).

    Verbs, groups and resources are those that the API server derives from a request
    (https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb).
    """
    if status == 401:
        return RbacError(
            "Kubernetes does not accept the credential that this runs with (HTTP 401).",
            "In a pod it is the ServiceAccount's token: see that the ServiceAccount exists, then delete the pod or"
            " run helm upgrade again. With a kubeconfig, log in again: kubectl auth whoami.",
        )
    bare, _, query = path.partition("?")
    found = _PATH.fullmatch(bare)
    if found is None:
        return RbacError(f"Kubernetes refuses {method} {bare} (HTTP 403).", "See kubectl auth can-i --list.")
    group, namespace, name = found["group"] or "", found["namespace"] or "", found["name"] or ""
    verb = _verb(method, name, query)
    resource = f"{found['resource']}/{found['sub']}" if found["sub"] else found["resource"]
    rule = {"apiGroups": [group], "resources": [resource], **({"resourceNames": [name]} if name else {})}
    what = f"{found['resource']}{f'.{group}' if group else ''}{f'/{name}' if name else ''}"
    option = f" --subresource={found['sub']}" if found["sub"] else ""
    where, flag = (f" in namespace {namespace}", f" -n {namespace}") if namespace else ("", "")
    return RbacError(
        f"Kubernetes refuses to {verb} {what}{where} (HTTP 403).",
        "Give the ServiceAccount a Role with this rule, which the chart's Role holds:"
        f" {json.dumps({**rule, 'verbs': [verb]})}. What it may do now: kubectl auth can-i {verb} {what}{option}{flag}"
        f" --as system:serviceaccount:{namespace or 'NAMESPACE'}:NAME.",
    )


def _verb(method: str, name: str, query: str) -> str:
    if method == "GET":
        return "watch" if "watch=true" in query else "get" if name else "list"
    return "deletecollection" if method == "DELETE" and not name else _VERBS[method]
