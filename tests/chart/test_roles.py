"""Least privilege: the rules of every Role, to the letter; who is bound to them; no way to mint tokens."""

import hashlib
from typing import Any

import pytest

from tests.chart import helm
from tests.chart.test_environment import INLINE, block

CONSUMERS = ["r-sources-server", "r-event-reporter", "r-gitops-operator"]
Rule = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Resource, verbs, names."""


def rules(manifests: list[helm.Manifest], name: str) -> set[Rule]:
    """Return a Role's rules, one resource each; names are empty where the rule has none."""
    found = helm.one(manifests, "Role", name)["rules"]
    groups = {"secrets": "", "configmaps": "", "namespaces": "", "events": "", "pods": "", "jobs": "batch"}
    seen = set()
    for rule in found:
        for resource in rule["resources"]:
            assert rule["apiGroups"] == [groups.get(resource, "apps")]
            seen.add((resource, tuple(rule["verbs"]), tuple(rule.get("resourceNames", ()))))
    return seen


def _common(
    *verbs: str, names: tuple[str, ...] = ("argocd-token",), namespace: tuple[str, ...] = ("get",)
) -> set[Rule]:
    return {("secrets", verbs, names), ("namespaces", namespace, ("ns",)), ("events", ("create",), ())}


MAKES: set[Rule] = {
    ("secrets", ("create",), ()),
    ("configmaps", ("create",), ()),
    ("configmaps", ("get", "update"), ("r-auth-refused",)),
}
ARGOCD_CM: Rule = ("configmaps", ("get",), ("argocd-cm",))


def test_rules_of_the_defaults() -> None:
    manifests = helm.render()
    assert rules(manifests, "r-auth-ensure") == _common("get", "update") | MAKES | {ARGOCD_CM}
    assert rules(manifests, "r-auth-retire") == _common("get", "update", "delete") | {
        ("deployments", ("get",), (*CONSUMERS, "r-app-proxy")),
        ("deployments", ("patch",), tuple(CONSUMERS)),
    }
    cleanup = {
        ("secrets", ("get", "delete"), ("argocd-token", "r-auth-credential")),
        ("configmaps", ("get", "delete"), ("r-auth-refused",)),
        ("jobs", ("get", "delete"), ("r-auth-ensure", "r-auth-ensure-rollback", "r-auth-rehearsal", "r-auth-retire")),
        ("pods", ("get", "delete"), ("r-auth-verify",)),
    }
    assert rules(manifests, "r-auth-cleanup") == cleanup | {
        ("namespaces", ("get",), ("ns",)),
        ("events", ("create",), ()),
    }
    keeper = _common("get", "list", "watch", "update", namespace=("get", "watch")) | MAKES
    assert rules(manifests, "r-key-keeper") == keeper | {("deployments", ("get", "patch"), tuple(CONSUMERS))}
    assert rules(manifests, "r-auth-verify") == MAKES - {("secrets", ("create",), ())}
    assert len([m for m in manifests if m["kind"] == "Role"]) == 5


def test_with_type_token_the_keeper_only_reports() -> None:
    manifests = helm.render(block(INLINE["token"]))
    assert rules(manifests, "r-key-keeper") == {("events", ("create",), ())}


def test_without_restarts_nothing_may_be_patched() -> None:
    manifests = helm.render({"keeper": {"restartConsumers": False}})
    assert ("deployments", ("get",), tuple(CONSUMERS)) in rules(manifests, "r-key-keeper")
    assert not [rule for m in manifests if m["kind"] == "Role" for rule in m["rules"] if "patch" in rule["verbs"]]


def test_without_consumers_there_is_no_rule_for_workloads() -> None:
    values = {"runtimeDefaults": {"enabled": False}, "app-proxy": {"enabled": True}}
    manifests = helm.render(values)
    for name, expected in (("r-key-keeper", set()), ("r-auth-retire", {("deployments", ("get",), ("r-app-proxy",))})):
        assert {rule for rule in rules(manifests, name) if rule[0] in ("deployments", "statefulsets")} == expected


def test_further_consumers_by_their_kind() -> None:
    manifests = helm.render({"runtime": {"enabled": False}, "keeper": {"consumers": ["a", "statefulset/b", "c"]}})
    expected = {("deployments", ("get", "patch"), ("a", "c")), ("statefulsets", ("get", "patch"), ("b",))}
    assert expected <= rules(manifests, "r-key-keeper")
    retire = rules(manifests, "r-auth-retire")
    assert {("deployments", ("get",), ("a", "c", "r-key-keeper")), ("statefulsets", ("get",), ("b",))} <= retire
    assert rules(manifests, "r-auth-verify") == {
        ("deployments", ("get",), ("a", "c")),
        ("statefulsets", ("get",), ("b",)),
    }


def test_a_key_secret_of_another_name_and_its_former_names() -> None:
    manifests = helm.render({"keySecret": {"name": "mine", "formerNames": ["argocd-token", "old"]}})
    names = ("mine", "argocd-token", "old")
    assert ("secrets", ("get", "update"), names) in rules(manifests, "r-auth-ensure")
    assert ("secrets", ("get", "update", "delete"), names) in rules(manifests, "r-auth-retire")
    assert ("secrets", ("get", "list", "watch", "update"), names) in rules(manifests, "r-key-keeper")
    assert ("secrets", ("get", "delete"), (*names, "r-auth-credential")) in rules(manifests, "r-auth-cleanup")


@pytest.mark.parametrize(
    ("values", "namespace"),
    [({}, "ns"), (block(server={"svc": "a.argocd"}), "argocd"), ({"hook": {"argocdNamespace": "c"}}, "c")],
)
def test_argocd_cm_is_read_where_it_is_at_hand_and_patched_only_with_enable_api_key(
    values: dict[str, Any], namespace: str
) -> None:
    manifests = helm.render(values)
    assert (ARGOCD_CM in rules(manifests, "r-auth-ensure")) == (namespace == "ns")
    hook = {**values.get("hook", {}), "enableApiKey": True}
    manifests = helm.render({**values, "hook": hook})
    name = f"r-auth-{hashlib.sha256(b'ns').hexdigest()[:8]}"  # other namespaces' releases may need one there, too
    there = [m for m in manifests if m["metadata"]["name"] == name]
    assert [m["kind"] for m in there] == ["Role", "RoleBinding"]
    assert {m["metadata"]["namespace"] for m in there} == {namespace}
    assert there[0]["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"], "resourceNames": ["argocd-cm"]}
    ]
    assert there[1]["roleRef"]["name"] == there[0]["metadata"]["name"]
    assert there[1]["subjects"] == [{"kind": "ServiceAccount", "name": "r-auth-ensure", "namespace": "ns"}]


@pytest.mark.parametrize("case", sorted(helm.CHART.glob("ci/*-values.yaml")), ids=lambda p: p.name)
def test_no_identity_could_mint_a_service_accounts_token(case: Any) -> None:
    held: dict[str, set[str]] = {}
    for role in helm.render(case.read_text(encoding="utf-8")):
        for rule in role.get("rules", []):
            assert not {"*"} & {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
            assert rule.get("resourceNames") or rule["verbs"] == ["create"], rule
            if "secrets" in rule["resources"]:
                held.setdefault(role["metadata"]["name"], set()).update(rule["verbs"])
    assert len(held) == (4 if "token" not in case.name else 3)
    for name, verbs in held.items():
        assert not {"create", "delete", "get"} <= verbs, name
        assert not {"create", "patch"} <= verbs, name


def test_every_role_is_bound_to_the_one_account_that_uses_it() -> None:
    manifests = helm.render({"keeper": {"consumers": ["a"]}})
    names = {"r-auth-ensure", "r-auth-retire", "r-auth-cleanup", "r-auth-verify", "r-key-keeper"}
    accounts = {m["metadata"]["name"]: m for m in manifests if m["kind"] == "ServiceAccount"}
    assert set(accounts) == names
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())
    for name in names:
        binding = helm.one(manifests, "RoleBinding", name)
        assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": "ns"}]
    used = {(helm.pod_spec(m) or {}).get("serviceAccountName") for m in manifests if helm.pod_spec(m)}
    assert used == names | {None}  # the connection agents have none


@pytest.mark.parametrize("values", [{}, {"runtime": {"enabled": False}}])
def test_the_keepers_rights_go_to_the_account_that_it_runs_as(values: dict[str, Any]) -> None:
    own = {"keeper": {"deployment": {"serviceAccountName": "mine"}}, "app-proxy": {"serviceAccountName": "mine"}}
    for given, account in (({}, "r-key-keeper"), (own, "mine")):
        manifests = helm.render({**values, **given})
        where = "r-key-keeper" if values else "r-app-proxy"
        spec = helm.pod_spec(helm.one(manifests, "Deployment", where)) or {}
        assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == (account, True)
        assert [s["name"] for s in helm.one(manifests, "RoleBinding", "r-key-keeper")["subjects"]] == [account]
        made = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
        assert ("r-key-keeper" in made) == (not given)


def test_the_admission_policy_names_all_of_our_identities_and_only_this_namespace() -> None:
    manifests = helm.render({"keeper": {"admissionPolicy": True, "consumers": ["a"]}})
    made = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
    for what in ("workloads", "secrets"):
        name = f"gitops-runtime-auth.ns.r.{what}"
        spec = helm.one(manifests, "ValidatingAdmissionPolicy", name)["spec"]
        (condition,) = spec["matchConditions"]
        assert condition["expression"].startswith("request.userInfo.username in [")
        assert all(f'"system:serviceaccount:ns:{account}"' in condition["expression"] for account in made)
        assert spec["failurePolicy"] == "Fail"
        binding = helm.one(manifests, "ValidatingAdmissionPolicyBinding", name)["spec"]
        assert binding["policyName"] == name
        assert binding["validationActions"] == ["Deny"]
        labels = binding["matchResources"]["namespaceSelector"]["matchLabels"]
        assert labels == {"kubernetes.io/metadata.name": "ns"}
    own = helm.render({"keeper": {"admissionPolicy": True}, "app-proxy": {"serviceAccountName": "mine"}})
    policy = helm.one(own, "ValidatingAdmissionPolicy", "gitops-runtime-auth.ns.r.secrets")["spec"]
    assert "system:serviceaccount:ns:mine" in policy["matchConditions"][0]["expression"]
    assert not [m for m in helm.render() if m["kind"].startswith("ValidatingAdmission")]
