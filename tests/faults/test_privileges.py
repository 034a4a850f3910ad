"""Least privilege, by trying: what each command's ServiceAccount may do, and what a missing rule looks like."""

import json
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
from tests.faults.roles import COMMANDS, RBAC, RELEASE, Names, Rule, in_argocd, rules
from tests.faults.settings import CHART, document, given, merged

CI = sorted(CHART.glob("ci/*.yaml"))
HERE = "here"
HOOKS = {f"{RELEASE}-auth-{command}": command for command in ("ensure", "retire", "cleanup")}
KEEPER = f"{RELEASE}-key-keeper"
Parts = set[tuple[tuple[str, ...], ...]]


def rendered(values: Path) -> list[dict[str, Any]]:
    command = [str(CURRENT / "helm"), "template", RELEASE, str(CHART), "-n", HERE, "-f", str(values)]
    command += ["--kube-version", "1.34"]
    documents = yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [document for document in documents if document]


def comparable(found: Iterable[Rule]) -> Parts:
    parts = ("apiGroups", "resources", "resourceNames", "verbs")
    return {tuple(tuple(sorted(rule.get(part) or ())) for part in parts) for rule in found}


def roles_of(objects: list[dict[str, Any]]) -> dict[tuple[str, str], Parts]:
    """Return the rules of the Roles, by namespace and name."""
    roles = [o for o in objects if o["kind"] == "Role"]
    return {(o["metadata"]["namespace"], o["metadata"]["name"]): comparable(o["rules"]) for o in roles}


def settings_in(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the settings of every Pod that takes some."""
    return [json.loads(o["data"]["settings.json"]) for o in objects if "settings.json" in (o.get("data") or {})]


def named(objects: list[dict[str, Any]]) -> Names:
    """Return what the rules are to name, as the settings have it."""
    settings = settings_in(objects)[0]
    consumers = [workload.split("/") for workload in settings["derived"]["consumers"]]
    secret = settings["values"]["keySecret"]
    return Names(
        deployments=tuple(name for kind, name in consumers if kind == "deployment"),
        statefulsets=tuple(name for kind, name in consumers if kind == "statefulset"),
        waited_for=tuple(workload.split("/")[1] for workload in settings["derived"]["waitFor"]),
        key_secrets=(secret["name"], *secret["formerNames"]),
    )


def as_command(site: Site, token: str) -> Cluster:
    return Cluster(CONFIG, site.cluster.server, token)


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_the_charts_roles_are_the_documented_ones(values: Path) -> None:
    objects = rendered(values)
    assert [o["kind"] for o in objects if o["kind"].startswith("ClusterRole")] == []
    everything, token = values.stem.startswith("everything"), values.stem.startswith("token")
    roles = roles_of(objects)
    # Where the hook may not change argocd-cm, it may read it in its own namespace: whose Argo CD it is, for remedies.
    cm = comparable(
        [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["argocd-cm"], "verbs": ["get"]}]
    )
    names = named(objects)
    wanted = {(HERE, name): comparable(rules(command, HERE, names)) for name, command in HOOKS.items()}
    wanted[HERE, KEEPER] = comparable(rules("keep-token" if token else "keep", HERE, names))
    # helm test has to find keeper.consumers, and to record a login, if app-proxy has one.
    further = bool(settings_in(objects)[0]["values"]["keeper"]["consumers"])
    logs_in = not token and f"{RELEASE}-app-proxy" in names.waited_for
    tested = rules("verify", HERE, names if further else Names(deployments=()))
    wanted[HERE, f"{RELEASE}-auth-verify"] = comparable(r for r in tested if logs_in or r["apiGroups"] == ["apps"])
    if not everything:
        wanted[HERE, f"{RELEASE}-auth-ensure"] |= cm
    elsewhere = {where: found for where, found in roles.items() if where[0] != HERE}
    assert {where: found for where, found in roles.items() if where[0] == HERE} == wanted
    assert [*elsewhere.values()] == ([comparable(in_argocd())] if everything else [])


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_nobody_may_make_delete_and_read_secrets(values: Path) -> None:
    for where, found in roles_of(rendered(values)).items():
        verbs = {verb for _, resources, _, may in found if "secrets" in resources for verb in may}
        assert not verbs >= {"create", "delete", "get"}, where
        assert not verbs & {"patch", "deletecollection", "*"}, where


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_each_role_is_bound_to_its_own_service_account(values: Path) -> None:
    bound = [o for o in rendered(values) if o["kind"] == "RoleBinding"]
    for binding in bound:
        (subject,) = binding["subjects"]
        name = binding["metadata"]["name"] if binding["metadata"]["namespace"] == HERE else f"{RELEASE}-auth-ensure"
        assert (subject["kind"], subject["namespace"], subject["name"]) == ("ServiceAccount", HERE, name)
        assert binding["roleRef"]["kind"] == "Role"
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]
    assert len(bound) > len(HOOKS)


@pytest.mark.parametrize("kind", ["password", "token"])
def test_these_tests_hand_over_what_the_chart_does(tmp_path: Path, kind: str) -> None:
    """Every pod's settings, from the same values."""
    more = {"global": {"external-arg-cd": {"auth": {"type": kind}}}}
    what = ("https://argocd.example.com/argocd", "alice", 20, more)
    (tmp_path / "values.yaml").write_text(json.dumps(given(*what)))
    objects = rendered(tmp_path / "values.yaml")
    handed = settings_in(objects)
    assert len(handed) == len(HOOKS) + 1
    for settings in handed:
        # The Deployments of these tests are fewer.
        workloads = {part: settings["derived"][part] for part in ("consumers", "waitFor")}
        assert settings == merged(json.loads(document(*what)), {"derived": workloads})


def lists(cluster: Cluster, namespace: str) -> list[Rule]:
    """Ask Kubernetes what an identity may do, beside what every authenticated one may: ask who it is, what it may."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "metadata": {"name": "mine"},
        "spec": {"namespace": namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    found: list[Rule] = cluster.create(path, review)["status"]["resourceRules"]
    everybodys = {"authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io"}
    return [rule for rule in found if not set(rule["apiGroups"]) <= everybodys]


def test_kubernetes_lists_no_more_rights_than_the_roles(site: Site, release: Callable[[], Release]) -> None:
    one = release()
    one.token_of("ensure")
    site.let_into_argocds_namespace(one.namespace)
    for command in COMMANDS:
        cluster = as_command(site, one.token_of(command))
        assert comparable(lists(cluster, one.namespace)) == comparable(rules(command, one.namespace)), command
        there = in_argocd() if command == "ensure" else []
        assert comparable(lists(cluster, "argocd")) == comparable(there), command


def refused(cluster: Cluster, namespace: str, tries: dict[str, Try]) -> None:
    for what, attempt in tries.items():
        with pytest.raises(ApiException) as refusal:
            pytest.fail(f"it may {what}: {attempt(cluster, namespace)}")
        assert refusal.value.status == HTTPStatus.FORBIDDEN, what


@pytest.mark.parametrize("command", COMMANDS)
def test_everything_else_is_refused(site: Site, release: Callable[[], Release], command: str) -> None:
    one = release()
    refused(as_command(site, one.token_of(command)), one.namespace, {**EVERYBODY, **SOME[command]})


def test_enable_api_key_adds_one_configmap_and_no_more(site: Site, release: Callable[[], Release]) -> None:
    one = release()
    cluster = as_command(site, one.token_of("ensure"))
    site.let_into_argocds_namespace(one.namespace)
    assert cluster.get(f"{CM}/argocd-cm") is not None
    refused(cluster, one.namespace, {**EVERYBODY, **ENABLED})


@pytest.mark.parametrize(
    ("resource", "verb", "name"),
    [("secrets", "create", ""), ("secrets", "get", KEY_SECRET), ("namespaces", "get", "")],
)
def test_a_missing_rule_ends_the_hook_with_77_and_its_name(
    site: Site, release: Callable[[], Release], resource: str, verb: str, name: str
) -> None:
    one = release()
    one.token_of("ensure")
    without = [rule for rule in rules("ensure", one.namespace) if [resource] != rule["resources"]]
    if verb == "create":
        without = [rule for rule in rules("ensure", one.namespace) if "secrets" not in rule["resources"]]
        without += [rule for rule in rules("ensure", one.namespace) if rule.get("resourceNames") == [KEY_SECRET]]
        without += [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]
    site.cluster.patch(f"{RBAC}/{one.namespace}/roles/ensure", {"rules": without})
    refusal = one.run()
    assert refusal.code == 77, refusal.said
    name = one.namespace if resource == "namespaces" else name
    assert f"refuses to {verb} {resource}{f'/{name}' if name else ''}" in refusal.said
    names = f'"resourceNames": ["{name}"], ' if name else ""
    rule = f'{{"apiGroups": [""], "resources": ["{resource}"], {names}"verbs": ["{verb}"]}}'
    assert rule in refusal.said
    assert one.live() == []
    assert one.live_sessions() == []
