"""What each command of the product may do in the cluster, as ``docs/security.md`` (RBAC) has it.

``test_privileges`` compares it with what the chart renders for a release named ``runtime``.
"""

from dev.cluster import Cluster
from dev.identity import RBAC, Rule, grant
from dev.identity import identity as make_identity
from dev.keys import KEY_SECRET

__all__ = ["RBAC", "RULES", "Rule", "grant", "identity"]

CONSUMERS = ("runtime-event-reporter", "runtime-gitops-operator", "runtime-sources-server")
CONSUMER = CONSUMERS[0]
"""The one that is there when commands are run here: what is done to it is done to each."""
APP_PROXY = "runtime-app-proxy"
ENSURE_JOB, TEST_POD = "runtime-auth-ensure", "runtime-auth-verify"


def _rule(group: str, resource: str, names: tuple[str, ...], *verbs: str) -> Rule:
    limited = {"resourceNames": [*names]} if names else {}
    return {"apiGroups": [group], "resources": [resource], "verbs": [*verbs], **limited}


def _secret(*verbs: str) -> Rule:
    return _rule("", "secrets", (KEY_SECRET,), *verbs)


_CREATE = _rule("", "secrets", (), "create")
_EVENTS = _rule("", "events", (), "create")
RULES: dict[str, list[Rule]] = {
    "ensure": [_CREATE, _secret("get", "update", "patch", "delete"), _EVENTS],
    "retire": [
        _CREATE,
        _secret("get", "update", "patch", "delete"),
        _EVENTS,
        _rule("apps", "deployments", (*CONSUMERS, APP_PROXY), "get"),
        _rule("apps", "deployments", CONSUMERS, "patch"),
        _rule("apps", "deployments", CONSUMERS, "patch"),
    ],
    "cleanup": [
        _secret("get", "delete"),
        _EVENTS,
        _rule("batch", "jobs", (ENSURE_JOB,), "get", "delete"),
        _rule("", "pods", (TEST_POD,), "get", "delete"),
    ],
    "keep": [
        _CREATE,
        _secret("get", "list", "watch", "update", "patch", "delete"),
        _EVENTS,
        _rule("apps", "deployments", CONSUMERS, "get", "patch"),
    ],
    "keep-token": [_EVENTS],
}
"""By command; ``keep`` is app-proxy's, with its ``type: token`` in a Role of its own."""
IN_ARGOCD = [_rule("", "configmaps", ("argocd-cm",), "get", "patch")]
"""With ``hook.enableApiKey``, in Argo CD's namespace."""


def identity(cluster: Cluster, namespace: str, command: str = "ensure") -> str:
    """Make a ServiceAccount named after ``command``, with that command's Role; return a token of it."""
    return make_identity(cluster, namespace, command, RULES[command])
