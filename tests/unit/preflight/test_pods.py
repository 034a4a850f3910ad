"""Quotas and the image: what keeps Pods from starting, told before the install instead of by a timeout."""

from typing import Any

import pytest

from gitops_runtime_auth.preflight import pods
from gitops_runtime_auth.preflight.helm import Rendering
from tests.fakes.laptop import FakeLaptop

OWNED = {"app.kubernetes.io/managed-by": "gitops-runtime-auth"}
OURS = {"app.kubernetes.io/name": "gitops-runtime-auth"}


def workload(kind: str, component: str, resources: dict[str, Any], replicas: int | None = None) -> dict[str, Any]:
    container = {"name": "c", "image": "registry/image:1", "resources": resources}
    return {
        "kind": kind,
        "metadata": {"name": component, "labels": {**OURS, "app.kubernetes.io/component": component}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
    }


SMALL = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
CHART = Rendering(
    (
        workload("Job", "ensure", SMALL),
        workload("Job", "cleanup", {**SMALL, "requests": {"cpu": "150m", "memory": "64Mi"}}),
        workload("Deployment", "a", SMALL, 2),
        workload("Deployment", "b", SMALL),
        workload("Deployment", "c", SMALL, 0),
        {"kind": "Secret", "metadata": {"name": "s"}},
    )
)


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "team"}, "spec": spec, "status": {"hard": hard, "used": used or {}}}


@pytest.mark.parametrize(
    ("hard", "used", "said"),
    [
        ({"pods": "4"}, {}, ""),  # two of a, one of b, and one hook at a time
        ({"pods": "4"}, {"pods": "1"}, "team leaves 3 of 4 pods, and 4 are needed"),
        ({"pods": "1"}, {"pods": "3"}, "team leaves 0 of 1 pods"),
        ({"count/jobs.batch": "1"}, {}, ""),
        ({"count/jobs.batch": "0"}, {}, "count/jobs.batch, and 1 are needed"),
        ({"secrets": "1"}, {}, "secrets, and 2 are needed"),  # the chart's, and the API key's
        ({"count/configmaps": "0"}, {}, "count/configmaps, and 1 are needed"),
        ({"requests.cpu": "450m"}, {}, ""),
        ({"requests.cpu": "449m"}, {}, "team leaves 0.449 of 449m requests.cpu, and 0.45"),
        ({"cpu": "1"}, {"cpu": "800m"}, "of 1 cpu"),
        ({"memory": "256Mi"}, {}, ""),
        ({"limits.memory": "500Mi"}, {}, "limits.memory"),
        ({"limits.cpu": "10"}, {}, "team counts limits.cpu, which Job ensure does not set"),
        ({"persistentvolumeclaims": "0"}, {}, ""),
    ],
)
def test_what_a_quota_leaves_no_room_for_is_said(hard: dict[str, str], used: dict[str, str], said: str) -> None:
    found = pods.lacking([quota(hard, used)], [], CHART, installed=False)
    assert said in found
    assert bool(found) == bool(said)


def test_a_limit_range_gives_what_the_chart_does_not_set() -> None:
    assert pods.lacking([quota({"limits.cpu": "10"})], [{"metadata": {}}], CHART, installed=False) == ""


def test_of_an_installed_release_only_the_hook_is_new() -> None:
    full = quota({"pods": "4", "secrets": "2"}, {"pods": "3", "secrets": "2"})
    assert pods.lacking([full], [], CHART, installed=True) == ""
    assert pods.lacking([quota({"pods": "3"}, {"pods": "3"})], [], CHART, installed=True) != ""


def test_a_quota_of_some_pods_only_is_left_out() -> None:
    of_best_effort = quota({"pods": "0"}, scopes=["BestEffort"])
    of_a_class = quota({"pods": "0"}, scopeSelector={"matchExpressions": [{"scopeName": "PriorityClass"}]})
    assert pods.lacking([of_best_effort, of_a_class], [], CHART, installed=False) == ""


def test_a_quota_is_a_remark_of_check_with_the_command_that_shows_it(laptop: FakeLaptop) -> None:
    laptop.put("resourcequotas", "team", quota({"pods": "2"}))
    found = laptop.check()
    assert found.code == 0
    assert found.row("Quota")["state"] == "warning"
    assert found.row("Quota")["found"] == "team leaves 2 of 2 pods, and 5 are needed"
    assert found.row("Quota")["remedy"] == "kubectl -n ns describe resourcequota team"
    laptop.put("resourcequotas", "whole", quota({}))
    assert laptop.check().row("Quota")["remedy"] == "kubectl -n ns describe resourcequota team whole"
    laptop.secret("argocd-token", labels={**OWNED, "app.kubernetes.io/instance": "rel"}, token="x")
    assert "Quota" not in laptop.check().rows(), "of an installed release only the hook is new"


def test_check_knows_the_limit_ranges_of_the_namespace(laptop: FakeLaptop) -> None:
    laptop.put("resourcequotas", "team", quota({"limits.cpu": "10"}))
    assert "limits.cpu" in laptop.check().row("Quota")["found"]
    laptop.put("limitranges", "team", {})
    assert "Quota" not in laptop.check().rows()


def test_the_image_is_named_and_so_is_a_pull_secret_that_is_not_there(laptop: FakeLaptop) -> None:
    arguments = ("--set-string", "image.repository=registry.example.com/a,image.tag=9,imagePullSecrets[0].name=pull")
    row = laptop.check(*arguments).row("Image")
    assert (row["state"], row["found"].split(",")[0]) == ("warning", "registry.example.com/a:9")
    assert 'Secret "pull", which does not exist' in row["found"]
    row = laptop.check(*arguments, "--set", "imagePullSecrets[1].name=more").row("Image")
    assert 'Secret "pull" and "more", which does not exist' in row["found"]
    laptop.secret("pull")
    assert laptop.check(*arguments).row("Image") == {
        "name": "Image",
        "state": "ok",
        "found": "registry.example.com/a:9",
        "remedy": "",
    }
    row = laptop.check("--set", "hook.enabled=false").row("Image")
    assert (row["state"], row["found"]) == (
        "warning",
        "none, because hook.enabled is false: nothing checks the account or makes a key",
    )
