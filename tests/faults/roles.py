"""What each command of the product may do in the cluster, as ``docs/security.md`` has it.

``test_privileges`` compares it with what the chart renders for a release of this name. No identity holds ``create``
and ``delete`` on Secrets together with ``get``.
"""

from dev.cluster import Cluster
from dev.identity import RBAC, Rule, grant
from dev.identity import identity as make_identity
from dev.keys import KEY_SECRET

__all__ = ["RBAC", "Rule", "grant", "identity", "in_argocd", "rules"]

RELEASE = "r"
CONSUMERS = tuple(f"{RELEASE}-{service}" for service in ("event-reporter", "gitops-operator", "sources-server"))
CONSUMER = CONSUMERS[0]
"""The one that is there when commands are run here: what is done to it is done to each."""
APP_PROXY = f"{RELEASE}-app-proxy"
JOBS = tuple(f"{RELEASE}-auth-{job}" for job in ("ensure", "ensure-rollback", "retire"))
TEST_POD = f"{RELEASE}-auth-verify"
CREDENTIAL = f"{RELEASE}-auth-credential"
"""The Secret that carries an inline password to the install hook; Helm leaves it behind when that fails."""
REFUSED = f"{RELEASE}-auth-refused"
"""The ConfigMap that remembers refused passwords."""

COMMANDS = ("ensure", "retire", "cleanup", "keep", "keep-token", "verify")
"""Whose rights differ; ``keep`` is the keeper's, with its ``type: token`` in a Role of its own."""


def rules(command: str, namespace: str, *, restarts: bool = True) -> list[Rule]:
    """Return what ``command`` may do in its release's namespace; ``restarts`` is ``keeper.restartConsumers``."""
    events = _rule("", "events", (), "create")
    # A Role may hold this: the API server takes the namespace's own name for the namespace of the request.
    own_namespace = _rule("", "namespaces", (namespace,), "get")
    made = [{**_rule("", "secrets", (), "create"), "resources": ["secrets", "configmaps"]}]
    record = _rule("", "configmaps", (REFUSED,), "get", "update")
    workloads = _rule("apps", "deployments", CONSUMERS, "get", *(["patch"] if restarts else []))
    match command:
        case "ensure":
            return [*made, _secret("get", "update"), record, own_namespace, events]
        case "keep":
            return [*made, _secret("get", "list", "watch", "update"), record, own_namespace, events, workloads]
        case "retire":
            waited_for = _rule("apps", "deployments", (*CONSUMERS, APP_PROXY), "get")
            restarted = [_rule("apps", "deployments", CONSUMERS, "patch")] if restarts else []
            return [_secret("get", "update", "delete"), own_namespace, events, waited_for, *restarted]
        case "cleanup":
            return [
                _rule("", "secrets", (KEY_SECRET, CREDENTIAL), "get", "delete"),
                _rule("", "configmaps", (REFUSED,), "get", "delete"),
                own_namespace,
                _rule("batch", "jobs", JOBS, "get", "delete"),
                _rule("", "pods", (TEST_POD,), "get", "delete"),
                events,
            ]
        case "keep-token":
            return [events, own_namespace]
        case "verify":
            return []
    raise AssertionError(command)


def in_argocd() -> list[Rule]:
    """Return what ``hook.enableApiKey`` adds to ``ensure``, in Argo CD's namespace."""
    return [_rule("", "configmaps", ("argocd-cm",), "get", "patch")]


def identity(cluster: Cluster, namespace: str, command: str) -> str:
    """Make a ServiceAccount named after ``command``, with that command's Role; return a token of it."""
    return make_identity(cluster, namespace, command, rules(command, namespace))


def _rule(group: str, resource: str, names: tuple[str, ...], *verbs: str) -> Rule:
    limited = {"resourceNames": [*names]} if names else {}
    return {"apiGroups": [group], "resources": [resource], "verbs": [*verbs], **limited}


def _secret(*verbs: str) -> Rule:
    return _rule("", "secrets", (KEY_SECRET,), *verbs)
