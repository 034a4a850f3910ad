"""Least privilege, by trying: what each command's ServiceAccount may do, and what a missing rule looks like."""

import subprocess
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiException

from dev.cluster import Cluster
from dev.keys import KEY_SECRET
from dev.sandbox.tools import CURRENT
from tests.faults.forbidden import CM, ENABLED, EVERYBODY, SOME, Try
from tests.faults.place import CONFIG, Site
from tests.faults.release import Release
from tests.faults.roles import IN_ARGOCD, RBAC, RULES, Rule

CHART = Path(__file__).parents[2] / "chart"
CI = sorted(CHART.glob("ci/*.yaml"))
ROLES = {
    "runtime-auth-ensure": RULES["ensure"],
    "runtime-auth-retire": RULES["retire"],
    "runtime-auth-cleanup": RULES["cleanup"],
    "runtime-app-proxy": RULES["keep"],
}
"""What the chart must render, and nothing else, for ``type: password``."""


def rendered(values: Path) -> list[dict[str, Any]]:
    command = [str(CURRENT / "helm"), "template", "runtime", str(CHART), "-n", "here", "-f", str(values)]
    command += ["--kube-version", "1.34"]
    documents = yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [document for document in documents if document]


def comparable(rules: Iterable[Rule]) -> set[tuple[tuple[str, ...], ...]]:
    parts = ("apiGroups", "resources", "resourceNames", "verbs")
    return {tuple(tuple(sorted(rule.get(part) or ())) for part in parts) for rule in rules}


def as_command(site: Site, token: str) -> Cluster:
    return Cluster(CONFIG, site.cluster.server, token)


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_the_charts_roles_are_the_documented_ones(values: Path) -> None:
    objects = rendered(values)
    assert [o["kind"] for o in objects if o["kind"].startswith("ClusterRole")] == []
    roles = {(o["metadata"]["namespace"], o["metadata"]["name"]): o["rules"] for o in objects if o["kind"] == "Role"}
    in_argocd = [rules for (namespace, _), rules in roles.items() if namespace != "here"]
    enabled = values.stem.startswith("everything")
    assert list(map(comparable, in_argocd)) == ([comparable(IN_ARGOCD)] if enabled else [])
    wanted = {**ROLES, **({"runtime-app-proxy": RULES["keep-token"]} if values.stem.startswith("token") else {})}
    here = {name: comparable(rules) for (namespace, name), rules in roles.items() if namespace == "here"}
    assert here == {name: comparable(rules) for name, rules in wanted.items()}


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_each_role_is_bound_to_its_own_service_account(values: Path) -> None:
    bound = [o for o in rendered(values) if o["kind"] == "RoleBinding"]
    for binding in bound:
        (subject,) = binding["subjects"]
        name = "runtime-auth-ensure" if binding["metadata"]["namespace"] != "here" else binding["metadata"]["name"]
        assert (subject["kind"], subject["namespace"], subject["name"]) == ("ServiceAccount", "here", name)
        assert binding["roleRef"]["kind"] == "Role"
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]
    assert len(bound) >= len(ROLES)


def lists(cluster: Cluster, namespace: str) -> list[Rule]:
    """Ask Kubernetes what an identity may do, beside what every authenticated one may: ask who it is, what it may."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "metadata": {"name": "mine"},
        "spec": {"namespace": namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    rules: list[Rule] = cluster.create(path, review)["status"]["resourceRules"]
    everybodys = {"authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io"}
    return [rule for rule in rules if not set(rule["apiGroups"]) <= everybodys]


def test_kubernetes_lists_no_more_rights_than_the_roles(site: Site, release: Callable[[], Release]) -> None:
    one = release()
    site.let_into_argocds_namespace(one.namespace)
    for command, rules in RULES.items():
        cluster = as_command(site, one.token_of(command))
        assert comparable(lists(cluster, one.namespace)) == comparable(rules), command
        there = IN_ARGOCD if command == "ensure" else []
        assert comparable(lists(cluster, "argocd")) == comparable(there), command


def refused(cluster: Cluster, namespace: str, tries: dict[str, Try]) -> None:
    for what, attempt in tries.items():
        with pytest.raises(ApiException) as refusal:
            pytest.fail(f"it may {what}: {attempt(cluster, namespace)}")
        assert refusal.value.status == HTTPStatus.FORBIDDEN, what


@pytest.mark.parametrize("command", RULES)
def test_everything_else_is_refused(site: Site, release: Callable[[], Release], command: str) -> None:
    one = release()
    refused(as_command(site, one.token_of(command)), one.namespace, {**EVERYBODY, **SOME[command]})


def test_enable_api_key_adds_one_configmap_and_no_more(site: Site, release: Callable[[], Release]) -> None:
    one = release()
    site.let_into_argocds_namespace(one.namespace)
    cluster = as_command(site, one.token)
    assert cluster.get(f"{CM}/argocd-cm") is not None
    refused(cluster, one.namespace, {**EVERYBODY, **ENABLED})


@pytest.mark.parametrize("missing", ["create", "get"])
def test_a_missing_rule_ends_the_hook_with_77_and_its_name(
    site: Site, release: Callable[[], Release], missing: str
) -> None:
    one = release()
    rules = [rule for rule in RULES["ensure"] if missing not in rule["verbs"] or rule["resources"] == ["events"]]
    site.cluster.patch(f"{RBAC}/{one.namespace}/roles/ensure", {"rules": rules})
    refusal = one.run()
    assert refusal.code == 77
    name = "" if missing == "create" else KEY_SECRET
    what = f"secrets/{name}" if name else "secrets"
    assert f"refuses to {missing} {what} in namespace {one.namespace} (HTTP 403)" in refusal.said
    names = f'"resourceNames": ["{name}"], ' if name else ""
    rule = f'{{"apiGroups": [""], "resources": ["secrets"], {names}"verbs": ["{missing}"]}}'
    assert rule in refusal.said
    assert one.live() == []
    assert one.live_sessions() == []
