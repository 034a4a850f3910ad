"""What the commands' ServiceAccounts may not do, as requests that the API server must refuse."""

from collections.abc import Callable

from dev.cluster import Cluster, path_of
from dev.keys import KEY_SECRET
from tests.faults.roles import RBAC

Try = Callable[[Cluster, str], object]
SECRET = {"metadata": {"name": KEY_SECRET}}
APPS, JOBS = "/apis/apps/v1/namespaces/{}/deployments", "/apis/batch/v1/namespaces/{}/jobs"
_ITS_OWN = f"fieldSelector=metadata.name={KEY_SECRET}"
PODS = "/api/v1/namespaces/{}/pods"
EVERYBODY: dict[str, Try] = {
    "get another Secret": lambda c, n: c.get(path_of(n, "secrets", "somebody-elses")),
    "list Secrets": lambda c, n: c.get(path_of(n, "secrets")),
    "list Secrets of all namespaces": lambda c, n: c.get("/api/v1/secrets"),
    "watch Secrets": lambda c, n: c.get(f"{path_of(n, 'secrets')}?watch=true&timeoutSeconds=1"),
    "deletecollection of Secrets": lambda c, n: c.delete(path_of(n, "secrets")),
    "update another Secret": lambda c, n: c.replace(path_of(n, "secrets", "x"), {"metadata": {"name": "x"}}),
    "patch another Secret": lambda c, n: c.patch(path_of(n, "secrets", "x"), {"data": {}}),
    "delete another Secret": lambda c, n: c.delete(path_of(n, "secrets", "x")),
    "get Argo CD's own Secret": lambda c, n: c.get(path_of("argocd", "secrets", "argocd-secret")),
    "get argocd-rbac-cm": lambda c, n: c.get("/api/v1/namespaces/argocd/configmaps/argocd-rbac-cm"),
    "list Pods": lambda c, n: c.get(PODS.format(n)),
    "create a Pod": lambda c, n: c.create(PODS.format(n), {"metadata": {"name": "x"}}),
    "exec into a Pod": lambda c, n: c.create(f"{PODS.format(n)}/x/exec", {}),
    "get a ConfigMap": lambda c, n: c.get(f"/api/v1/namespaces/{n}/configmaps/x"),
    "list Events": lambda c, n: c.get(f"/api/v1/namespaces/{n}/events"),
    "list Deployments": lambda c, n: c.get(APPS.format(n)),
    "update a Deployment": lambda c, n: c.replace(f"{APPS.format(n)}/runtime-event-reporter", SECRET),
    "delete a Deployment": lambda c, n: c.delete(f"{APPS.format(n)}/runtime-event-reporter"),
    "get another Deployment": lambda c, n: c.get(f"{APPS.format(n)}/x"),
    "deletecollection of Jobs": lambda c, n: c.delete(JOBS.format(n)),
    "create a RoleBinding": lambda c, n: c.create(f"{RBAC}/{n}/rolebindings", {"metadata": {"name": "x"}}),
    "make a token": lambda c, n: c.create(f"/api/v1/namespaces/{n}/serviceaccounts/ensure/token", {"spec": {}}),
}
"""What no command may."""
SOME: dict[str, dict[str, Try]] = {
    "ensure": {
        "watch its Secret": lambda c, n: c.get(f"{path_of(n, 'secrets')}?{_ITS_OWN}&watch=true&timeoutSeconds=1"),
        "list its Secret": lambda c, n: c.get(f"{path_of(n, 'secrets')}?{_ITS_OWN}"),
        "get a Deployment": lambda c, n: c.get(f"{APPS.format(n)}/runtime-event-reporter"),
        "get argocd-cm unasked": lambda c, n: c.get("/api/v1/namespaces/argocd/configmaps/argocd-cm"),
    },
    "retire": {
        "patch app-proxy's Deployment": lambda c, n: c.patch(f"{APPS.format(n)}/runtime-app-proxy", {"spec": {}}),
        "delete the hook's Job": lambda c, n: c.delete(f"{JOBS.format(n)}/runtime-auth-ensure"),
    },
    "cleanup": {
        "create a Secret": lambda c, n: c.create(path_of(n, "secrets"), SECRET),
        "update its Secret": lambda c, n: c.replace(path_of(n, "secrets", KEY_SECRET), SECRET),
        "patch its Secret": lambda c, n: c.patch(path_of(n, "secrets", KEY_SECRET), {"data": {}}),
        "delete another Job": lambda c, n: c.delete(f"{JOBS.format(n)}/x"),
        "delete another Pod": lambda c, n: c.delete(f"{PODS.format(n)}/x"),
    },
    "keep": {
        "get app-proxy's Deployment": lambda c, n: c.get(f"{APPS.format(n)}/runtime-app-proxy"),
        "create a Deployment": lambda c, n: c.create(APPS.format(n), {"metadata": {"name": "x"}}),
        "delete the hook's Job": lambda c, n: c.delete(f"{JOBS.format(n)}/runtime-auth-ensure"),
    },
    "keep-token": {
        "get the Secret": lambda c, n: c.get(path_of(n, "secrets", KEY_SECRET)),
        "create a Secret": lambda c, n: c.create(path_of(n, "secrets"), SECRET),
        "patch a Deployment": lambda c, n: c.patch(f"{APPS.format(n)}/runtime-event-reporter", {"spec": {}}),
    },
}
"""What one command may not, though another may."""
CM = "/api/v1/namespaces/argocd/configmaps"
ENABLED: dict[str, Try] = {
    "list ConfigMaps": lambda c, n: c.get(CM),
    "watch ConfigMaps": lambda c, n: c.get(f"{CM}?watch=true&timeoutSeconds=1"),
    "update argocd-cm": lambda c, n: c.replace(f"{CM}/argocd-cm", {"metadata": {"name": "argocd-cm"}}),
    "delete argocd-cm": lambda c, n: c.delete(f"{CM}/argocd-cm"),
    "deletecollection of ConfigMaps": lambda c, n: c.delete(CM),
    "patch argocd-rbac-cm": lambda c, n: c.patch(f"{CM}/argocd-rbac-cm", {"data": {}}),
}
"""What ``hook.enableApiKey`` does not add."""
