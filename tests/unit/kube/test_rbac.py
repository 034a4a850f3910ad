"""Requests in the words of authorization, and the rule that is missing when one is refused."""

import json
import re

import pytest

from gitops_runtime_auth.kube.rbac import Action, credential_refused, rule_missing

SECRETS = "/api/v1/namespaces/here/secrets"
APPS = "/apis/apps/v1/namespaces/here/deployments"
HOOK = "system:serviceaccount:here:hook"


@pytest.mark.parametrize(
    ("method", "path", "words", "rule"),
    [
        ("GET", f"{SECRETS}/x", "get secrets/x", ["", "secrets", ["x"], "get"]),
        ("GET", SECRETS, "list secrets", ["", "secrets", None, "list"]),
        ("GET", f"{SECRETS}?labelSelector=a=b", "list secrets", ["", "secrets", None, "list"]),
        ("GET", f"{SECRETS}?watch=true", "watch secrets", ["", "secrets", None, "watch"]),
        (
            "GET",
            f"{SECRETS}?fieldSelector=metadata.name=x&watch=true",
            "watch secrets/x",
            ["", "secrets", ["x"], "watch"],
        ),
        ("POST", SECRETS, "create secrets", ["", "secrets", None, "create"]),
        ("PUT", f"{SECRETS}/x", "update secrets/x", ["", "secrets", ["x"], "update"]),
        ("DELETE", f"{SECRETS}/x", "delete secrets/x", ["", "secrets", ["x"], "delete"]),
        ("DELETE", SECRETS, "deletecollection secrets", ["", "secrets", None, "deletecollection"]),
        ("PATCH", f"{APPS}/x", "patch deployments.apps/x", ["apps", "deployments", ["x"], "patch"]),
        ("GET", "/api/v1/namespaces/here/pods/x/log", "get pods/x", ["", "pods/log", ["x"], "get"]),
    ],
)
def test_the_missing_rule_is_named(method: str, path: str, words: str, rule: list[object]) -> None:
    action = Action.of(method, path)
    error = rule_missing(action, HOOK)
    assert str(action) == f"{words} in namespace here"
    assert error.problem == f"Kubernetes refuses to {words} in namespace here (HTTP 403)."
    found = re.search(r"\{.*\}", error.remedy)
    assert found
    group, resource, names, verb = rule
    named = {"resourceNames": names} if names else {}
    assert json.loads(found[0]) == {"apiGroups": [group], "resources": [resource], **named, "verbs": [verb]}


def test_the_remedy_whole() -> None:
    assert rule_missing(Action.of("GET", f"{SECRETS}/x"), HOOK).remedy == (
        "Give ServiceAccount here/hook a Role with this rule, which the chart's Role has:"
        ' {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"], "verbs": ["get"]}.'
        f" What it may do now: kubectl auth can-i get secrets/x -n here --as {HOOK}."
    )
    log = rule_missing(Action.of("GET", "/api/v1/namespaces/here/pods/x/log"), HOOK).remedy
    assert "can-i get pods/x --subresource=log -n here --as" in log


@pytest.mark.parametrize("user", ["", "jane", "system:serviceaccount:here", f"{HOOK}\x1b[2J", f"x{HOOK}"])
def test_a_user_who_is_no_service_account_is_not_quoted(user: str) -> None:
    remedy = rule_missing(Action.of("GET", f"{SECRETS}/x"), user).remedy
    assert remedy.startswith("Give the ServiceAccount a Role")
    assert remedy.endswith(" -n here --as system:serviceaccount:here:NAME.")


def test_what_has_no_namespace_is_named_too() -> None:
    namespace = Action.of("GET", "/api/v1/namespaces/x")
    assert (str(namespace), namespace.namespace) == ("get namespaces/x", "x")
    assert " -n x --as system:serviceaccount:x:NAME." in rule_missing(namespace, "jane").remedy
    role = Action.of("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/x")
    assert (str(role), role.namespace) == ("get clusterroles.rbac.authorization.k8s.io/x", "")
    everywhere = Action.of("GET", "/api/v1/secrets")
    assert (str(everywhere), everywhere.namespace) == ("list secrets", "")
    assert rule_missing(everywhere, "jane").remedy.endswith(
        "can-i list secrets --as system:serviceaccount:NAMESPACE:NAME."
    )
    assert (Action.of("GET", "/api/v1/namespaces").object, Action.of("GET", "/api/v1/namespaces").verb) == (
        "namespaces",
        "list",
    )


def test_a_path_that_is_none_of_objects() -> None:
    action = Action.of("GET", "/version?x=y")
    assert (str(action), action.request, action.verb, action.object) == ("GET /version", "GET /version", "GET", "")
    error = rule_missing(action, HOOK)
    assert error.problem == "Kubernetes refuses GET /version (HTTP 403)."
    assert error.remedy == "See kubectl auth can-i --list."


def test_the_watch_of_a_namespace() -> None:
    watch = Action.of("GET", "/api/v1/watch/namespaces/here?watch=true")
    assert (str(watch), watch.namespace) == ("watch namespaces/here", "here")


def test_a_request_is_told_without_its_query() -> None:
    assert Action.of("GET", f"{SECRETS}?watch=true").request == f"GET {SECRETS}"


def test_a_credential_that_is_not_accepted_is_no_missing_rule() -> None:
    error = credential_refused()
    assert error.problem == "Kubernetes does not accept the credential that this runs with (HTTP 401)."
    assert error.remedy == (
        "In a Pod it is the ServiceAccount's token: see that the ServiceAccount exists, then delete the Pod or"
        " run helm upgrade again. With a kubeconfig, log in again: kubectl auth whoami."
    )
    assert error.exit_code == 77
