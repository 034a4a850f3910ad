"""Restarts of workloads that take the key by environment, and when a rollout is over."""

import math
from typing import Any

import pytest

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import AdmissionError, ConfigurationError, RbacError
from gitops_runtime_auth.kube import rollout
from gitops_runtime_auth.kube.api import Cluster, workload_path
from gitops_runtime_auth.kube.rollout import ANNOTATION, Workload, restart, unfinished
from tests.fakes import kubestatus
from tests.fakes.kubernetes import FakeKubernetes, Rule

D, S = Workload("deployment", "d"), Workload("statefulset", "s")
BOTH = [D, S]


def path(workload: Workload) -> str:
    return workload_path("ns", workload.kind, workload.name)


def make(kubernetes: FakeKubernetes, workload: Workload, **spec: Any) -> None:
    kubernetes.put(path(workload), {"spec": {"replicas": 2, "template": {}, **spec}})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    for level in ("info", "warning"):
        monkeypatch.setattr(
            log, level, lambda message, level=level, **fields: lines.append(f"{level}: {message}{fields}")
        )
    return lines


def annotation(kubernetes: FakeKubernetes, workload: Workload) -> str:
    template = kubernetes.objects[path(workload)]["spec"]["template"]
    return str(template.get("metadata", {}).get("annotations", {}).get(ANNOTATION, ""))


def test_names_of_workloads() -> None:
    assert Workload.parse("deployment/d") == D
    assert Workload.parse("statefulset/s.x-1") == Workload("statefulset", "s.x-1")
    assert (str(D), str(S)) == ("Deployment d", "StatefulSet s")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d",
        "deployment/",
        "Deployment/d",
        "daemonset/d",
        "deployment/D",
        "deployment/d/x",
        "deployment/-d",
        "deployment/d\n",
    ],
)
def test_what_names_no_workload(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Workload.parse(text)
    assert raised.value.problem == f"{text!r} is neither deployment/NAME nor statefulset/NAME."
    assert raised.value.remedy == "Correct keeper.consumers."


def test_a_name_has_an_end() -> None:
    assert Workload.parse(f"deployment/{'d' * 253}")
    with pytest.raises(ConfigurationError, match=r"^'deployment/d{89}' is neither"):
        Workload.parse(f"deployment/{'d' * 254}")


def test_each_is_restarted_once_for_a_key(kubernetes: FakeKubernetes, cluster: Cluster, told: list[str]) -> None:
    for workload in BOTH:
        make(kubernetes, workload)
    assert restart(cluster, "ns", BOTH, "gra.one") == BOTH
    assert restart(cluster, "ns", BOTH, "gra.one") == []
    assert kubernetes.writes() == [("PATCH", path(D)), ("PATCH", path(S))]
    assert [annotation(kubernetes, w) for w in BOTH] == ["gra.one", "gra.one"]
    assert restart(cluster, "ns", [S], "gra.two") == [S]
    assert [annotation(kubernetes, w) for w in BOTH] == ["gra.one", "gra.two"]
    assert told == [
        f"info: Restarting {name}, which takes the API key by environment.{{'key': 'gra.{key}'}}"
        for name, key in (("Deployment d", "one"), ("StatefulSet s", "one"), ("StatefulSet s", "two"))
    ]


def test_nothing_but_one_annotation_changes(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    template = {"metadata": {"annotations": {"a": "b"}, "labels": {"l": "v"}}, "spec": {"containers": [{"name": "c"}]}}
    make(kubernetes, D, template=template)
    restart(cluster, "ns", [D], "gra.one")
    (patch,) = kubernetes.server.asked("PATCH")
    assert patch.object() == {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: "gra.one"}}}}}
    assert kubernetes.objects[path(D)]["spec"]["template"] == {
        **template,
        "metadata": {"annotations": {"a": "b", ANNOTATION: "gra.one"}, "labels": {"l": "v"}},
    }
    assert ANNOTATION == "gitops-runtime-auth/key-id"


def test_one_that_does_not_exist_is_left_out(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    make(kubernetes, S)
    assert restart(cluster, "ns", BOTH, "gra.one") == [S]
    assert unfinished(cluster, "ns", [D]) == []


def test_one_that_goes_meanwhile_is_left_out(kubernetes: FakeKubernetes, cluster: Cluster, told: list[str]) -> None:
    for workload in BOTH:
        make(kubernetes, workload)
    kubernetes.fault("PATCH", times=1, does=lambda: kubernetes.remove(path(D)))
    assert restart(cluster, "ns", BOTH, "gra.one") == [S]
    assert len(told) == 1
    assert told[0].startswith("info: Restarting StatefulSet s, which takes")


def test_a_refusal_keeps_no_other_from_its_restart(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    third = Workload("deployment", "third")
    for workload in (*BOTH, third):
        make(kubernetes, workload)
    kubernetes.refuse(f"PATCH {path(D)}", kubestatus.denied_by_policy("deployments", "d", "frozen", "words", "apps"))
    kubernetes.allowed = {Rule("get", "apps", "*"), Rule("patch", "apps", "deployments")}
    with pytest.raises(AdmissionError, match="frozen"):
        restart(cluster, "ns", [*BOTH, third], "gra.one")
    assert [annotation(kubernetes, w) for w in (*BOTH, third)] == ["", "", "gra.one"]
    with pytest.raises(RbacError, match=r"patch statefulsets\.apps/s in namespace ns"):
        restart(cluster, "ns", [S], "gra.one")


def at(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


ROLLED_OUT = "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(("since", "restarted"), [(-1, False), (0, False), (0.5, True), (1, True)])
def test_one_that_was_rolled_out_since_is_left_alone(
    kubernetes: FakeKubernetes, cluster: Cluster, since: float, restarted: bool
) -> None:
    make(kubernetes, D)
    conditions = [{"type": "Available", "lastUpdateTime": "2030-01-01T00:00:00Z"}]
    conditions.append({"type": "Progressing", "lastUpdateTime": ROLLED_OUT})
    kubernetes.rollouts.status(path(D), conditions=conditions)
    assert restart(cluster, "ns", [D], "gra.one", at(ROLLED_OUT) + since) == ([D] if restarted else [])


def test_one_that_is_about_to_be_rolled_out_is_left_alone(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    make(kubernetes, D)
    kubernetes.rollouts.mode = "held"
    make(kubernetes, D, paused=False)
    assert restart(cluster, "ns", [D], "gra.one", since=math.inf) == []
    kubernetes.rollouts.finish(path(D))
    assert restart(cluster, "ns", [D], "gra.one", since=math.inf) == [D]


@pytest.mark.parametrize("workload", BOTH)
def test_one_that_its_controller_has_never_seen_is_left_alone(
    kubernetes: FakeKubernetes, cluster: Cluster, workload: Workload
) -> None:
    kubernetes.rollouts.mode = "held"
    make(kubernetes, workload)
    assert restart(cluster, "ns", [workload], "gra.one", since=math.inf) == []


@pytest.mark.parametrize("workload", BOTH)
def test_one_that_tells_no_rollout_counts_from_its_creation(
    kubernetes: FakeKubernetes, cluster: Cluster, workload: Workload
) -> None:
    make(kubernetes, workload)
    kubernetes.rollouts.status(path(workload), conditions=[])
    made = at(kubernetes.objects[path(workload)]["metadata"]["creationTimestamp"])
    if workload is D:
        kubernetes.rollouts.status(path(D), conditions=[{"type": "Progressing", "lastUpdateTime": "soon"}])
    assert restart(cluster, "ns", [workload], "gra.one", since=made) == []
    assert restart(cluster, "ns", [workload], "gra.one", since=made + 1) == [workload]


@pytest.mark.parametrize("text", ["", "yesterday", None])
def test_a_time_that_is_none(kubernetes: FakeKubernetes, cluster: Cluster, text: str | None) -> None:
    make(kubernetes, D)
    kubernetes.rollouts.status(path(D), conditions=[{"type": "Progressing", "lastUpdateTime": text}])
    found = kubernetes.objects[path(D)]
    found["metadata"]["creationTimestamp"] = text
    assert restart(cluster, "ns", [D], "gra.one", since=0.0) == []
    assert restart(cluster, "ns", [D], "gra.one", since=0.1) == [D]


@pytest.mark.parametrize(
    ("workload", "spec", "why"),
    [
        (D, {"paused": True}, "Deployment d is paused, so resume it (kubectl rollout resume)"),
        (
            S,
            {"updateStrategy": {"type": "OnDelete"}},
            "StatefulSet s has the update strategy OnDelete, so delete its Pods",
        ),
        (
            S,
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
            "StatefulSet s is rolled out in part only (its partition is not 0)",
        ),
    ],
)
def test_what_kubernetes_does_not_renew_by_itself_is_told(
    kubernetes: FakeKubernetes, cluster: Cluster, told: list[str], workload: Workload, spec: dict[str, Any], why: str
) -> None:
    make(kubernetes, workload, **spec)
    assert restart(cluster, "ns", [workload], "gra.one") == [workload]
    assert told[1:] == [f"warning: {why}: the replaced API key stays valid until all its Pods are new.{{}}"]


@pytest.mark.parametrize(
    "strategy", [{}, {"type": "RollingUpdate"}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}]
)
def test_what_kubernetes_renews_is_not_told(
    kubernetes: FakeKubernetes, cluster: Cluster, told: list[str], strategy: dict[str, Any]
) -> None:
    make(kubernetes, S, updateStrategy=strategy)
    restart(cluster, "ns", [S], "gra.one")
    assert len(told) == 1


def done(kubernetes: FakeKubernetes, cluster: Cluster, workload: Workload) -> bool:
    return unfinished(cluster, "ns", [workload]) == []


COUNTS = {"deployment": "availableReplicas", "statefulset": "readyReplicas"}


@pytest.mark.parametrize("workload", BOTH)
@pytest.mark.parametrize(
    ("counts", "finished"),
    [
        ({}, True),
        ({"observedGeneration": 0}, False),
        ({"observedGeneration": 9}, True),
        ({"updatedReplicas": 1}, False),
        ({"updatedReplicas": 0}, False),
        ({"replicas": 3}, False),
        ({"AVAILABLE": 1}, False),
        ({"AVAILABLE": 0}, False),
        ({"AVAILABLE": 3}, True),
        ({"replicas": 1}, True),
        ({"replicas": 3, "updatedReplicas": 3, "AVAILABLE": 3}, True),
        ({"replicas": 3, "updatedReplicas": 3, "AVAILABLE": 2}, False),
    ],
)
def test_a_rollout_is_over_when_all_pods_are_new_and_available(
    kubernetes: FakeKubernetes, cluster: Cluster, workload: Workload, counts: dict[str, int], finished: bool
) -> None:
    make(kubernetes, workload)
    assert done(kubernetes, cluster, workload)
    available = COUNTS[workload.kind]
    counts = {name.replace("AVAILABLE", available): count for name, count in counts.items()}
    kubernetes.rollouts.status(path(workload), **counts)
    assert done(kubernetes, cluster, workload) is finished
    assert unfinished(cluster, "ns", [workload]) == ([] if finished else [workload])


@pytest.mark.parametrize("workload", BOTH)
def test_the_counts_of_the_other_kind_do_not_matter(
    kubernetes: FakeKubernetes, cluster: Cluster, workload: Workload
) -> None:
    make(kubernetes, workload)
    other = "readyReplicas" if workload is D else "availableReplicas"
    kubernetes.rollouts.status(path(workload), **{other: 1})
    assert done(kubernetes, cluster, workload)


@pytest.mark.parametrize(
    "strategy", [{"type": "OnDelete"}, {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, {}]
)
def test_a_stateful_set_is_done_when_every_pod_has_the_present_revision(
    kubernetes: FakeKubernetes, cluster: Cluster, strategy: dict[str, Any]
) -> None:
    make(kubernetes, S, updateStrategy=strategy)
    kubernetes.rollouts.mode = "held"
    restart(cluster, "ns", [S], "gra.one")
    assert not done(kubernetes, cluster, S)
    kubernetes.rollouts.status(path(S), observedGeneration=2, updatedReplicas=0)
    assert not done(kubernetes, cluster, S)
    kubernetes.rollouts.status(path(S), updatedReplicas=1)
    assert not done(kubernetes, cluster, S), "with a partition, kubectl would call this complete"
    kubernetes.rollouts.status(path(S), updatedReplicas=2)
    assert done(kubernetes, cluster, S)


def test_a_workload_without_pods_is_done_once_its_controller_saw_it(
    kubernetes: FakeKubernetes, cluster: Cluster
) -> None:
    kubernetes.rollouts.mode = "held"
    for workload in BOTH:
        make(kubernetes, workload, replicas=0)
    assert unfinished(cluster, "ns", BOTH) == BOTH
    for workload in BOTH:
        kubernetes.rollouts.finish(path(workload))
    assert unfinished(cluster, "ns", BOTH) == []


def test_objects_that_lack_what_they_should_have() -> None:
    assert rollout._rolled_out({}) == 0
    assert rollout._annotation({"spec": {"template": {"metadata": {"annotations": None}}}}) == ""
    assert not rollout._done(D, {"metadata": {}, "spec": {}})
    assert not rollout._done(D, {"spec": {}, "status": {"updatedReplicas": 1}})
    assert rollout._done(D, {"spec": {}, "status": {"updatedReplicas": 1, "availableReplicas": 1}})
