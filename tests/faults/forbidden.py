"""What the commands' ServiceAccounts may not do, as requests that the API server must refuse."""

from collections.abc import Callable

from dev.cluster import Cluster, path_of
from dev.identity import RBAC
from dev.keys import KEY_SECRET
from tests.faults.roles import APP_PROXY, CONSUMER, JOBS, REFUSED

Try = Callable[[Cluster, str], object]
SECRET = {"metadata": {"name": KEY_SECRET}}
CM = path_of("argocd", "configmaps")
_ITS_OWN = f"fieldSelector=metadata.name={KEY_SECRET}"


def _apps(namespace: str, name: str = "") -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments" + (f"/{name}" if name else "")


def _jobs(namespace: str, name: str = "") -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs" + (f"/{name}" if name else "")


def _own(namespace: str) -> str:
    return path_of(namespace, "secrets", KEY_SECRET)


EVERYBODY: dict[str, Try] = {
    "get another Secret": lambda c, n: c.get(path_of(n, "secrets", "somebody-elses")),
    "list Secrets": lambda c, n: c.get(path_of(n, "secrets")),
    "list Secrets of all namespaces": lambda c, n: c.get("/api/v1/secrets"),
    "watch Secrets": lambda c, n: c.get(f"{path_of(n, 'secrets')}?watch=true&timeoutSeconds=1"),
    "deletecollection of Secrets": lambda c, n: c.delete(path_of(n, "secrets")),
    "update another Secret": lambda c, n: c.replace(path_of(n, "secrets", "x"), {"metadata": {"name": "x"}}),
    "patch its Secret": lambda c, n: c.patch(_own(n), {"data": {}}),
    "patch another Secret": lambda c, n: c.patch(path_of(n, "secrets", "x"), {"data": {}}),
    "delete another Secret": lambda c, n: c.delete(path_of(n, "secrets", "x")),
    "get Argo CD's own Secret": lambda c, n: c.get(path_of("argocd", "secrets", "argocd-secret")),
    "get argocd-rbac-cm": lambda c, n: c.get(f"{CM}/argocd-rbac-cm"),
    "list Pods": lambda c, n: c.get(path_of(n, "pods")),
    "create a Pod": lambda c, n: c.create(path_of(n, "pods"), {"metadata": {"name": "x"}}),
    "exec into a Pod": lambda c, n: c.create(f"{path_of(n, 'pods', 'x')}/exec", {}),
    "get a ConfigMap": lambda c, n: c.get(path_of(n, "configmaps", "x")),
    "list ConfigMaps": lambda c, n: c.get(path_of(n, "configmaps")),
    "update a ConfigMap": lambda c, n: c.replace(path_of(n, "configmaps", "x"), {"metadata": {"name": "x"}}),
    "patch the record": lambda c, n: c.patch(path_of(n, "configmaps", REFUSED), {"data": {}}),
    "list Events": lambda c, n: c.get(path_of(n, "events")),
    "list Deployments": lambda c, n: c.get(_apps(n)),
    "create a Deployment": lambda c, n: c.create(_apps(n), {"metadata": {"name": "x"}}),
    "update a Deployment": lambda c, n: c.replace(_apps(n, CONSUMER), SECRET),
    "delete a Deployment": lambda c, n: c.delete(_apps(n, CONSUMER)),
    "get another Deployment": lambda c, n: c.get(_apps(n, "x")),
    "scale a Deployment": lambda c, n: c.patch(f"{_apps(n, CONSUMER)}/scale", {"spec": {"replicas": 9}}),
    "deletecollection of Jobs": lambda c, n: c.delete(_jobs(n)),
    "create a Job": lambda c, n: c.create(_jobs(n), {"metadata": {"name": "x"}}),
    "create a RoleBinding": lambda c, n: c.create(f"{RBAC}/{n}/rolebindings", {"metadata": {"name": "x"}}),
    "update a Role": lambda c, n: c.replace(f"{RBAC}/{n}/roles/ensure", {"metadata": {"name": "ensure"}}),
    "make a token": lambda c, n: c.create(f"/api/v1/namespaces/{n}/serviceaccounts/ensure/token", {"spec": {}}),
    "get another namespace": lambda c, n: c.get("/api/v1/namespaces/argocd"),
    "list namespaces": lambda c, n: c.get("/api/v1/namespaces"),
    "watch another namespace": lambda c, n: c.get("/api/v1/watch/namespaces/argocd?timeoutSeconds=1"),
    "delete its namespace": lambda c, n: c.delete(f"/api/v1/namespaces/{n}"),
    "patch its namespace": lambda c, n: c.patch(f"/api/v1/namespaces/{n}", {"metadata": {"labels": {"a": "b"}}}),
}
"""What no command may."""

_CREATE: dict[str, Try] = {
    "create a Secret": lambda c, n: c.create(path_of(n, "secrets"), SECRET),
    "create a ConfigMap": lambda c, n: c.create(path_of(n, "configmaps"), {"metadata": {"name": "x"}}),
}
_WATCH: dict[str, Try] = {
    "watch its Secret": lambda c, n: c.get(f"{path_of(n, 'secrets')}?{_ITS_OWN}&watch=true&timeoutSeconds=1"),
    "list its Secret": lambda c, n: c.get(f"{path_of(n, 'secrets')}?{_ITS_OWN}"),
}
_GET: dict[str, Try] = {"get its Secret": lambda c, n: c.get(_own(n))}
_UPDATE: dict[str, Try] = {"update its Secret": lambda c, n: c.replace(_own(n), SECRET)}
_DELETE: dict[str, Try] = {"delete its Secret": lambda c, n: c.delete(_own(n))}
_RECORD: dict[str, Try] = {
    "get the record": lambda c, n: c.get(path_of(n, "configmaps", REFUSED)),
    "update the record": lambda c, n: c.replace(path_of(n, "configmaps", REFUSED), {"metadata": {"name": REFUSED}}),
}
_DELETE_RECORD: dict[str, Try] = {"delete the record": lambda c, n: c.delete(path_of(n, "configmaps", REFUSED))}
_LEFTOVERS: dict[str, Try] = {
    "delete the hook's Job": lambda c, n: c.delete(_jobs(n, JOBS[0])),
    "delete a Pod": lambda c, n: c.delete(path_of(n, "pods", "x")),
}
_PATCH: dict[str, Try] = {"patch a Deployment": lambda c, n: c.patch(_apps(n, CONSUMER), {"spec": {}})}
_WORKLOADS: dict[str, Try] = {"get a Deployment": lambda c, n: c.get(_apps(n, CONSUMER)), **_PATCH}
_PATCH_APP_PROXY: dict[str, Try] = {
    "patch app-proxy's Deployment": lambda c, n: c.patch(_apps(n, APP_PROXY), {"spec": {}})
}
_NAMESPACE: dict[str, Try] = {"get its namespace": lambda c, n: c.get(f"/api/v1/namespaces/{n}")}
_UNASKED: dict[str, Try] = {"get argocd-cm unasked": lambda c, n: c.get(f"{CM}/argocd-cm")}
_NO_KEY = {**_CREATE, **_WATCH, **_GET, **_UPDATE, **_DELETE, **_RECORD, **_DELETE_RECORD, **_LEFTOVERS}

SOME: dict[str, dict[str, Try]] = {
    "ensure": {**_WATCH, **_DELETE, **_DELETE_RECORD, **_LEFTOVERS, **_WORKLOADS, **_UNASKED},
    "retire": {**_CREATE, **_WATCH, **_RECORD, **_DELETE_RECORD, **_LEFTOVERS, **_PATCH_APP_PROXY, **_UNASKED},
    "cleanup": {
        **_CREATE,
        **_WATCH,
        **_UPDATE,
        **_WORKLOADS,
        **_UNASKED,
        "update the record": _RECORD["update the record"],
        "delete another Job": lambda c, n: c.delete(_jobs(n, "x")),
        "delete another Pod": lambda c, n: c.delete(path_of(n, "pods", "x")),
    },
    "keep": {**_DELETE, **_DELETE_RECORD, **_LEFTOVERS, **_PATCH_APP_PROXY, **_UNASKED},
    "keep-token": {**_NO_KEY, **_WORKLOADS, **_NAMESPACE, **_UNASKED},
    "verify": {
        **_WATCH,
        **_GET,
        **_UPDATE,
        **_DELETE,
        **_DELETE_RECORD,
        **_LEFTOVERS,
        **_PATCH,
        **_NAMESPACE,
        **_UNASKED,
        "create a Secret": _CREATE["create a Secret"],
    },
}
"""What one command may not, though another may."""

ENABLED: dict[str, Try] = {
    "list Argo CD's ConfigMaps": lambda c, n: c.get(CM),
    "watch Argo CD's ConfigMaps": lambda c, n: c.get(f"{CM}?watch=true&timeoutSeconds=1"),
    "update argocd-cm": lambda c, n: c.replace(f"{CM}/argocd-cm", {"metadata": {"name": "argocd-cm"}}),
    "delete argocd-cm": lambda c, n: c.delete(f"{CM}/argocd-cm"),
    "deletecollection of Argo CD's ConfigMaps": lambda c, n: c.delete(CM),
    "patch argocd-rbac-cm": lambda c, n: c.patch(f"{CM}/argocd-rbac-cm", {"data": {}}),
}
"""What ``hook.enableApiKey`` does not add."""
