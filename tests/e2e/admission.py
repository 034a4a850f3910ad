"""Policies of admission, which the API server enforces itself, for the namespace of one release."""

from collections.abc import Mapping
from typing import Any

from dev.cluster import Object, path_of
from dev.runtime import IMAGE, Runtime, within

POLICIES = "/apis/admissionregistration.k8s.io/v1"


def rule(groups: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Return the rules that match the making of ``groups``' resources."""
    return [
        {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": resources}
        for group, resources in groups.items()
    ]


def bind(place: Runtime, kind: str, spec: dict[str, Any]) -> None:
    """Make a policy of this kind for the release's namespace alone, until the end."""
    plural, name = f"{kind.lower()[:-1]}ies", place.name
    place.create(f"{POLICIES}/{plural}", {"metadata": {"name": name}, "spec": spec})
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.name}}}
    bound: dict[str, Any] = {"policyName": name, "matchResources": selector}
    if kind.startswith("Validating"):
        bound["validationActions"] = ["Deny"]
    place.create(f"{POLICIES}/{kind.lower()}bindings", {"metadata": {"name": name}, "spec": bound})


def dry_run(place: Runtime, security: Mapping[str, object]) -> Object:
    """Return a Pod as it would be made."""
    spec = {
        "containers": [{"name": "probe", "image": IMAGE}],
        "securityContext": security,
        "automountServiceAccountToken": False,  # whose volume would have another name each time
    }
    path = f"{path_of(place.name, 'pods')}?dryRun=All"
    made: Object = place.cluster.create(path, {"metadata": {"name": "probe"}, "spec": spec})["spec"]
    return made


def inject(place: Runtime, mutation: Mapping[str, object], condition: str) -> None:
    """Change every Pod for which the condition holds, and wait until that is so."""
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": rule({"": ["pods"]})},
        "matchConditions": [{"name": "which", "expression": condition}],
        "mutations": [mutation],
    }
    before = dry_run(place, {})
    bind(place, "MutatingAdmissionPolicy", spec)
    within(30, lambda: dry_run(place, {}) != before)
