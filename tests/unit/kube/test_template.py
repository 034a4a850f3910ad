"""Every way in which a workload's template takes a Secret."""

from typing import Any

import pytest

from gitops_runtime_auth.kube.template import SecretUse, uses_of


def workload(**pod: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": pod}}}


def in_container(**container: Any) -> dict[str, Any]:
    return workload(containers=[{"name": "other"}, {"name": "main", **container}])


@pytest.mark.parametrize(
    ("found", "uses"),
    [
        (
            in_container(env=[{"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}}]),
            [SecretUse("variable T", "token")],
        ),
        (
            workload(
                initContainers=[{"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]
            ),
            [SecretUse("variable T", "k")],
        ),
        (in_container(env=[{"name": "NAME", "value": "s"}]), [SecretUse("name in variable NAME", "")]),
        (in_container(envFrom=[{"secretRef": {"name": "s"}}]), [SecretUse("all variables of the Secret", "")]),
        (workload(volumes=[{"name": "v", "secret": {"secretName": "s"}}]), [SecretUse("volume v", "")]),
        (
            workload(volumes=[{"name": "v", "secret": {"secretName": "s", "items": [{"key": "a"}, {"key": "b"}]}}]),
            [SecretUse("volume v", "a"), SecretUse("volume v", "b")],
        ),
        (
            workload(
                volumes=[
                    {
                        "name": "v",
                        "projected": {
                            "sources": [
                                {"configMap": {"name": "s"}},
                                {"secret": {"name": "s", "items": [{"key": "a"}]}},
                            ]
                        },
                    }
                ]
            ),
            [SecretUse("volume v", "a")],
        ),
    ],
)
def test_found(found: dict[str, Any], uses: list[SecretUse]) -> None:
    assert uses_of("s", found) == tuple(uses)
    assert uses_of("another", found) == ()


def test_the_same_use_in_two_containers_counts_once() -> None:
    container = {"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}}]}
    found = workload(containers=[container, container], volumes=[{"name": "v", "secret": {"secretName": "s"}}])
    assert uses_of("s", found) == (SecretUse("variable T", "token"), SecretUse("volume v", ""))


@pytest.mark.parametrize(
    "found",
    [
        {"spec": {"template": {}}},
        workload(containers=None, initContainers=None, volumes=None),
        in_container(env=None, envFrom=None),
        in_container(env=[{"name": "A"}, {"name": "B", "valueFrom": None}, {"name": "C", "value": ""}]),
        in_container(envFrom=[{"configMapRef": {"name": "s"}}]),
        workload(volumes=[{"name": "s"}, {"name": "c", "configMap": {"name": "s"}}, {"name": "p", "projected": {}}]),
    ],
)
def test_nothing_to_find(found: dict[str, Any]) -> None:
    assert uses_of("s", found) == ()
