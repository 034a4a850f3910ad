"""Makes ServiceAccounts with the rights of a Pod of the chart, for processes outside a Pod."""

from typing import Any

from dev.cluster import Cluster
from dev.runtime import within

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"
Rule = dict[str, Any]


def grant(cluster: Cluster, namespace: str, name: str, rules: list[Rule], subject: tuple[str, str]) -> None:
    """Make a Role and bind it to the ServiceAccount ``subject``: (namespace, name).

    Return when the API server's authorizer, which follows Roles by a watch, allows what the last rule does.
    """
    cluster.create(f"{RBAC}/{namespace}/roles", {"metadata": {"name": name}, "rules": rules})
    cluster.create(
        f"{RBAC}/{namespace}/rolebindings",
        {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "namespace": subject[0], "name": subject[1]}],
        },
    )
    asked = {
        "namespace": namespace,
        "verb": rules[-1]["verbs"][0],
        "group": rules[-1]["apiGroups"][0],
        "resource": rules[-1]["resources"][0],
        "name": next(iter(rules[-1].get("resourceNames") or ()), ""),
    }
    review = {"spec": {"user": f"system:serviceaccount:{subject[0]}:{subject[1]}", "resourceAttributes": asked}}
    reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    within(20, lambda: cluster.create(reviews, review)["status"]["allowed"], f"Role {name} counts")


def identity(cluster: Cluster, namespace: str, name: str, rules: list[Rule]) -> str:
    """Make a ServiceAccount that may do what ``rules`` say in its namespace; return a token of it."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    cluster.create(accounts, {"metadata": {"name": name}})
    grant(cluster, namespace, name, rules, (namespace, name))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token: str = cluster.create(f"{accounts}/{name}/token", request)["status"]["token"]
    return token
