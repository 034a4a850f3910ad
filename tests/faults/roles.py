"""What each command of the product may do in the cluster, as ``docs/security.md`` has it.

``test_privileges`` compares it with what the chart renders for a release of this name. No identity holds ``create``
and ``delete`` on Secrets together with ``get``.
"""

from dataclasses import dataclass

from dev.cluster import Cluster
from dev.identity import RBAC, Rule, grant
from dev.identity import identity as make_identity
from dev.keys import KEY_SECRET

__all__ = ["RBAC", "Names", "Rule", "grant", "identity", "in_argocd", "rules"]

RELEASE = "r"
CONSUMERS = tuple(f"{RELEASE}-{service}" for service in ("event-reporter", "gitops-operator", "sources-server"))
CONSUMER = CONSUMERS[0]
"""The one that is there when commands are run here: what is done to it is done to each."""
APP_PROXY = f"{RELEASE}-app-proxy"
JOBS = tuple(f"{RELEASE}-auth-{job}" for job in ("ensure", "ensure-rollback", "rehearsal", "retire"))
TEST_POD = f"{RELEASE}-auth-verify"
CREDENTIAL = f"{RELEASE}-auth-credential"
"""The Secret that carries an inline password to the install hook; Helm leaves it behind when that fails."""
REFUSED = f"{RELEASE}-auth-refused"
"""The ConfigMap that remembers refused passwords."""

COMMANDS = ("ensure", "retire", "cleanup", "keep", "keep-token", "verify")
"""Whose rights differ; ``keep`` is the keeper's, with its ``type: token`` in a Role of its own."""


@dataclass(frozen=True)
class Names:
    """What the rules name that values may change."""

    deployments: tuple[str, ...] = CONSUMERS
    """Consumers."""
    statefulsets: tuple[str, ...] = ()
    waited_for: tuple[str, ...] = (APP_PROXY,)
    """Deployments that are no consumers, and whose rollout is waited for."""
    key_secrets: tuple[str, ...] = (KEY_SECRET,)

    def workloads(self, *verbs: str, more: tuple[str, ...] = ()) -> list[Rule]:
        """Return the rules for the consumers, and for ``more`` Deployments."""
        kinds = (("deployments", (*self.deployments, *more)), ("statefulsets", self.statefulsets))
        return [_rule("apps", kind, names, *verbs) for kind, names in kinds if names]


def rules(command: str, namespace: str, names: Names = Names()) -> list[Rule]:
    """Return what ``command`` may do in its release's namespace."""

    def key_secret(*verbs: str) -> Rule:
        return _rule("", "secrets", names.key_secrets, *verbs)

    # A Role may hold this: the API server takes the namespace's own name for the namespace of the request.
    def own_namespace(*verbs: str) -> Rule:
        return _rule("", "namespaces", (namespace,), *verbs)

    events = _rule("", "events", (), "create")
    made = {**_rule("", "secrets", (), "create"), "resources": ["secrets", "configmaps"]}
    record = _rule("", "configmaps", (REFUSED,), "get", "update")
    match command:
        case "ensure":
            return [made, key_secret("get", "update"), record, own_namespace("get"), events]
        case "keep":
            watched = key_secret("get", "list", "watch", "update")
            return [made, watched, record, own_namespace("get", "watch"), events, *names.workloads("get", "patch")]
        case "retire":
            seen, restarted = names.workloads("get", more=names.waited_for), names.workloads("patch")
            return [key_secret("get", "update", "delete"), own_namespace("get"), events, *seen, *restarted]
        case "cleanup":
            return [
                _rule("", "secrets", (*names.key_secrets, CREDENTIAL), "get", "delete"),
                _rule("", "configmaps", (REFUSED,), "get", "delete"),
                own_namespace("get"),
                _rule("batch", "jobs", JOBS, "get", "delete"),
                _rule("", "pods", (TEST_POD,), "get", "delete"),
                events,
            ]
        case "keep-token":
            return [events]
        case "verify":
            return [_rule("", "configmaps", (), "create"), record, *names.workloads("get")]
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
