"""Ways to obtain another ServiceAccount's token with rights on Secrets, as sequences of requests.

Kubernetes writes a ServiceAccount's token into every Secret of type ``kubernetes.io/service-account-token`` that names
it in an annotation. Who makes such a Secret and reads it holds that token: in Argo CD's own namespace, cluster-admin's.
"""

import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from kubernetes.client import ApiException

from dev.cluster import Cluster, path_of
from dev.identity import RBAC
from dev.keys import KEY_SECRET
from tests.faults.roles import CONSUMER

VICTIM = "victim"
"""The ServiceAccount whose token is sought. It has no rights, because what it is bound to does not matter here."""
_TYPE = "kubernetes.io/service-account-token"
_NAMED = {"kubernetes.io/service-account.name": VICTIM}
_SECONDS = 10.0
"""The token controller fills such a Secret in well under a second; the garbage collector is as quick."""

Sequence = Callable[[Cluster, str], str]
"""Tries to obtain the token, by an identity, in a namespace; returns it, empty if it did not come. A refused request
(``ApiException``) ends the sequence."""


def _own(namespace: str) -> str:
    return path_of(namespace, "secrets", KEY_SECRET)


def _token_secret(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": _NAMED}, "type": _TYPE}


def _token_in(get: Callable[[], dict[str, Any] | None], seconds: float = _SECONDS) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        token = ((get() or {}).get("data") or {}).get("token")
        if token:
            return str(token)
        time.sleep(0.1)
    return ""


def _read(cluster: Cluster, namespace: str) -> str:
    return _token_in(lambda: cluster.get(_own(namespace)))


def create_and_get(cluster: Cluster, namespace: str) -> str:
    """While there is no key Secret: make it a token Secret, and read it."""
    cluster.create(path_of(namespace, "secrets"), _token_secret(KEY_SECRET))
    return _read(cluster, namespace)


def create_another_and_get(cluster: Cluster, namespace: str) -> str:
    """Make a token Secret of another name, which ``create`` can't be limited to, and read it."""
    cluster.create(path_of(namespace, "secrets"), _token_secret("another"))
    return _token_in(lambda: cluster.get(path_of(namespace, "secrets", "another")))


def create_another_and_list(cluster: Cluster, namespace: str) -> str:
    """Make a token Secret of another name, and find it in a list."""
    cluster.create(path_of(namespace, "secrets"), _token_secret("another"))

    def listed() -> dict[str, Any] | None:
        items = (cluster.get(path_of(namespace, "secrets")) or {})["items"]
        return next((secret for secret in items if secret["metadata"]["name"] == "another"), None)

    return _token_in(listed)


def delete_create_and_get(cluster: Cluster, namespace: str) -> str:
    """Delete the key Secret and make a token Secret in its place."""
    cluster.delete(_own(namespace))
    return create_and_get(cluster, namespace)


def turn_into_one(cluster: Cluster, namespace: str) -> str:
    """Update the key Secret to be a token Secret."""
    secret = cluster.get(_own(namespace)) or {}
    metadata = {**secret["metadata"], "annotations": _NAMED}
    cluster.replace(_own(namespace), {**secret, "metadata": metadata, "type": _TYPE, "data": None})
    return _read(cluster, namespace)


def annotate(cluster: Cluster, namespace: str) -> str:
    """Give the key Secret the annotation of a token Secret, without its type."""
    secret = cluster.get(_own(namespace)) or {}
    metadata = {**secret["metadata"], "annotations": _NAMED}
    cluster.replace(_own(namespace), {**secret, "metadata": metadata, "data": None})
    return _token_in(lambda: cluster.get(_own(namespace)), seconds=2)  # it does not come


def patch_into_one(cluster: Cluster, namespace: str) -> str:
    """Patch the key Secret to be a token Secret."""
    cluster.patch(_own(namespace), {"metadata": {"annotations": _NAMED}, "type": _TYPE})
    return _read(cluster, namespace)


def have_it_collected(cluster: Cluster, namespace: str) -> str:
    """Have the garbage collector delete the key Secret: it deletes what names an owner that does not exist."""
    secret = cluster.get(_own(namespace)) or {}
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": str(uuid.uuid4())}
    metadata = {**secret["metadata"], "ownerReferences": [owner]}
    cluster.replace(_own(namespace), {**secret, "metadata": metadata})
    until = time.monotonic() + _SECONDS
    while cluster.get(_own(namespace)) is not None and time.monotonic() < until:
        time.sleep(0.1)
    return create_and_get(cluster, namespace)


def ask_for_one(cluster: Cluster, namespace: str) -> str:
    """Ask for a token by the API that is made for that."""
    path = f"{path_of(namespace, 'serviceaccounts', VICTIM)}/token"
    return str(cluster.create(path, {"spec": {}})["status"]["token"])


def bind_and_ask(cluster: Cluster, namespace: str) -> str:
    """Give itself the right to ask for one."""
    cluster.create(
        f"{RBAC}/{namespace}/roles",
        {
            "metadata": {"name": "more"},
            "rules": [{"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}],
        },
    )
    return ask_for_one(cluster, namespace)


def run_a_pod(cluster: Cluster, namespace: str) -> str:
    """Run a Pod as the victim."""
    containers = [{"name": "c", "image": "none.invalid/c"}]
    cluster.create(
        path_of(namespace, "pods"),
        {"metadata": {"name": "p"}, "spec": {"serviceAccountName": VICTIM, "containers": containers}},
    )
    return "a Pod runs as the victim"


def run_it_in_a_deployment(cluster: Cluster, namespace: str) -> str:
    """Have a consumer's Pods run as the victim, with a program of one's own."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{CONSUMER}"
    cluster.patch(path, {"spec": {"template": {"spec": {"serviceAccountName": VICTIM}}}})
    return "Pods run as the victim"


WITH_A_KEY: dict[str, Sequence] = {
    "create another, get": create_another_and_get,
    "create another, list": create_another_and_list,
    "delete, create, get": delete_create_and_get,
    "update into one": turn_into_one,
    "annotate": annotate,
    "patch into one": patch_into_one,
    "have it collected, create, get": have_it_collected,
    "ask": ask_for_one,
    "bind, ask": bind_and_ask,
    "run a Pod": run_a_pod,
    "run a Pod by a Deployment": run_it_in_a_deployment,
}
"""While the key Secret exists."""
WITHOUT_A_KEY: dict[str, Sequence] = {"create, get": create_and_get}
"""While it does not: before the first install."""


def succeeds(sequence: Sequence, cluster: Cluster, namespace: str) -> bool:
    """Tell whether a sequence ends with the token. Refusals by RBAC, validation or admission end it without."""
    try:
        return bool(sequence(cluster, namespace))
    except ApiException as e:
        if e.status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.CONFLICT):
            return False
        raise
