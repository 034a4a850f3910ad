"""A refusal of the Kubernetes API names the rule that is missing."""

import pytest

from gitops_runtime_auth.kube.rbac import refused

SECRETS = "/api/v1/namespaces/here/secrets"
APPS = "/apis/apps/v1/namespaces/here/deployments"


@pytest.mark.parametrize(
    ("method", "path", "problem", "rule"),
    [
        ("GET", f"{SECRETS}/x", "get secrets/x", '[""], "resources": ["secrets"], "resourceNames": ["x"]'),
        ("GET", SECRETS, "list secrets", '[""], "resources": ["secrets"], "verbs": ["list"]'),
        ("GET", f"{SECRETS}?watch=true", "watch secrets", '"verbs": ["watch"]'),
        ("POST", SECRETS, "create secrets", '"verbs": ["create"]'),
        ("PUT", f"{SECRETS}/x", "update secrets/x", '"verbs": ["update"]'),
        ("DELETE", f"{SECRETS}/x", "delete secrets/x", '"verbs": ["delete"]'),
        ("DELETE", SECRETS, "deletecollection secrets", '"verbs": ["deletecollection"]'),
        ("PATCH", f"{APPS}/x", "patch deployments.apps/x", '["apps"], "resources": ["deployments"]'),
        ("GET", "/api/v1/namespaces/here/pods/x/portforward", "get pods/x", '"resources": ["pods/portforward"]'),
    ],
)
def test_the_missing_rule_is_named(method: str, path: str, problem: str, rule: str) -> None:
    error = refused(403, method, path)
    assert error.problem == f"Kubernetes refuses to {problem} in namespace here (HTTP 403)."
    assert rule in error.remedy
    assert " -n here " in error.remedy


def test_what_has_no_namespace_is_named_too() -> None:
    assert refused(403, "GET", "/api/v1/namespaces/x").problem == "Kubernetes refuses to get namespaces/x (HTTP 403)."
    assert refused(403, "GET", "/api/v1/secrets").problem == "Kubernetes refuses to list secrets (HTTP 403)."


def test_a_credential_that_is_not_accepted_is_no_missing_rule() -> None:
    error = refused(401, "GET", SECRETS)
    assert "(HTTP 401)" in error.problem
    assert "rule" not in error.remedy
