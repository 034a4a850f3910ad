"""When a rollout is over, asked of a real cluster with real Pods: what its controllers count, ``rollout`` goes by."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitops_runtime_auth.kube import api
from gitops_runtime_auth.kube.rollout import Workload, restart, unfinished
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing
from tests.faults.place import kubeconfig
from tests.faults.test_conversation_kubernetes import APPS, Talk, named, real

IMAGE = os.environ.get("E2E_PAUSE_IMAGE", "localhost/sandbox-pause:1")
ON_DELETE = {"type": "OnDelete"}
PARTITION = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}


def make(talk: Talk, kind: str, **fields: Any) -> Workload:
    """Make a workload with two Pods that wait."""
    labels = {"app": "x"}
    pod = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": IMAGE}], "terminationGracePeriodSeconds": 0},
    }
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod, **fields}
    response = talk.ask("POST", f"{APPS}/{kind}s", named("x", spec=spec))
    assert response.status_code == 201, response.text
    return Workload(kind, "x")


def until(reached: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("kind", "fields", "by_hand"),
    [
        ("deployment", {}, []),
        ("statefulset", {"podManagementPolicy": "Parallel"}, []),
        ("statefulset", {"podManagementPolicy": "Parallel", "updateStrategy": ON_DELETE}, ["x-0", "x-1"]),
        ("statefulset", {"podManagementPolicy": "Parallel", "updateStrategy": PARTITION}, ["x-0"]),
    ],
    ids=["deployment", "statefulset", "OnDelete", "partition"],
)
def test_a_rollout_is_over_when_every_pod_is_new(
    tmp_path: Path, kind: str, fields: dict[str, Any], by_hand: list[str]
) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig())
    cluster = api.connect(Deadline(120), Timing(), str(tmp_path / "kubeconfig"))
    with real() as talk:
        workload = make(talk, kind, **fields)

        def pods() -> dict[str, str]:
            found = talk.ask("GET", "/api/v1/namespaces/NS/pods?labelSelector=app=x").json()["items"]
            alive = [pod["metadata"] for pod in found if not pod["metadata"].get("deletionTimestamp")]
            return {pod["name"]: pod["annotations"]["gitops-runtime-auth/key-id"] for pod in alive if _key(pod)}

        def over() -> bool:
            return unfinished(cluster, talk.namespace, [workload]) == []

        assert not over()
        until(over, "the first rollout is not over")
        assert restart(cluster, talk.namespace, [workload], "gra.one") == [workload]
        assert not over()
        if by_hand:
            until(lambda: len(pods()) == 2 - len(by_hand), "Kubernetes renews what it renews by itself")
            assert not over(), "old Pods run, whatever kubectl rollout status says"
            if fields["updateStrategy"] is PARTITION:  # the controller makes an old one again
                talk.ask("PATCH", f"{APPS}/statefulsets/x", _AT_0, "application/merge-patch+json")
            for name in by_hand:
                talk.ask("DELETE", f"/api/v1/namespaces/NS/pods/{name}")
        until(over, "the rollout is not over")
        assert list(pods().values()) == ["gra.one", "gra.one"]
        assert restart(cluster, talk.namespace, [workload], "gra.one") == []
    cluster.close()


_AT_0 = {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}


def _key(pod: dict[str, Any]) -> bool:
    return "gitops-runtime-auth/key-id" in (pod.get("annotations") or {})
