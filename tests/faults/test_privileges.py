"""Least privilege, by trying: what the hook's ServiceAccount may do, and what a missing rule looks like."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hook import store
from hook.cluster import RealCluster, secret_path
from hook.errors import RbacError
from hook.retry import Deadline
from tests.faults.place import RBAC, RULES, Release, Site
from tests.sandbox.tools import CURRENT

CHART = Path(__file__).parents[2] / "chart"


def as_hook(site: Site, token: str) -> RealCluster:
    from kubernetes.client.api_client import ApiClient
    from kubernetes.client.configuration import Configuration

    configuration = Configuration(host=f"https://{site.apiserver[0]}:{site.apiserver[1]}")
    admin = site.cluster._client.configuration
    configuration.ssl_ca_cert = admin.ssl_ca_cert
    configuration.tls_server_name = admin.tls_server_name
    configuration.retries = False
    configuration.api_key = {"authorization": f"Bearer {token}"}
    return RealCluster(ApiClient(configuration), Deadline(20))


def test_the_charts_role_is_the_documented_one() -> None:
    given = ["--set", "global.external-arg-cd.auth.type=password,global.external-arg-cd.auth.username=a"]
    given += ["--set", "global.external-arg-cd.auth.password=p", "-s", "templates/hook/role.yaml"]
    command = [str(CURRENT / "helm"), "template", "runtime", str(CHART), "--kube-version", "1.34", *given]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert yaml.safe_load(rendered)["rules"] == RULES


def test_kubernetes_lists_no_more_rights_than_the_role(site: Site, release: Callable[[], Release]) -> None:
    one = release()
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "metadata": {"name": "mine"},
        "spec": {"namespace": one.namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    rules = as_hook(site, one.token).create(path, review)["status"]["resourceRules"]
    # What every authenticated identity has: it may ask who it is, what it may do, and which CAs are published.
    everybodys = {"authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io"}
    own = [r for r in rules if not set(r["apiGroups"]) <= everybodys]
    assert sorted(map(str, own)) == sorted(str(_listed(rule)) for rule in RULES)


def _listed(rule: dict[str, list[str]]) -> dict[str, list[str]]:
    return {key: rule[key] for key in ("verbs", "apiGroups", "resources", "resourceNames") if key in rule}


def test_everything_else_is_refused(site: Site, release: Callable[[], Release]) -> None:
    one = release()
    cluster, namespace = as_hook(site, one.token), one.namespace
    other = secret_path(namespace, "somebody-elses")
    tries: list[Callable[[], object]] = [
        lambda: cluster.get(secret_path(namespace)),
        lambda: cluster.get(other),
        lambda: cluster.patch(other, {"data": {}}),
        lambda: cluster.delete(other),
        lambda: cluster.get(secret_path("argocd", "argocd-secret")),
        lambda: cluster.get("/api/v1/namespaces/argocd/configmaps/argocd-cm"),
        lambda: cluster.get(f"/api/v1/namespaces/{namespace}/pods"),
        lambda: cluster.get("/api/v1/secrets"),
        lambda: cluster.create(f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "x"}}),
        lambda: cluster.create(f"{RBAC}/{namespace}/rolebindings", {"metadata": {"name": "x"}}),
        lambda: cluster.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/hook/token", {"spec": {}}),
    ]
    for attempt in tries:
        with pytest.raises(RbacError):
            attempt()


@pytest.mark.parametrize("missing", ["create", "get"])
def test_a_missing_rule_ends_the_hook_with_77_and_its_name(
    site: Site, release: Callable[[], Release], missing: str
) -> None:
    one = release()
    rules = [rule for rule in RULES if missing not in rule["verbs"] or rule["resources"] == ["events"]]
    site.cluster.patch(f"{RBAC}/{one.namespace}/roles/hook", {"rules": rules})
    refused = one.run()
    assert refused.code == 77
    method, name = {"create": ("POST", ""), "get": ("GET", f"/{store.NAME}")}[missing]
    assert f"refuses {method} {secret_path(one.namespace)}{name} (HTTP 403)" in refused.said
    assert one.live() == []
    assert one.live_sessions() == []
