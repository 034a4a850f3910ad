"""Events: what stands in them, and that none of them can fail or hold up a run."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gitops_runtime_auth import log
from gitops_runtime_auth.kube import api, events
from gitops_runtime_auth.kube.api import Cluster
from gitops_runtime_auth.kube.events import Pod
from gitops_runtime_auth.retry import Deadline
from tests.fakes import LONG, SOON
from tests.fakes.kubernetes import FakeKubernetes, Rule
from tests.unit.kube.conftest import QUICK

EVENTS = "/api/v1/namespaces/ns/events"
POD = Pod("r-auth-ensure-abcde", "the-uid")


def written(kubernetes: FakeKubernetes) -> list[dict[str, Any]]:
    return [found for path, found in kubernetes.objects.items() if path.startswith(EVENTS)]


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose time is not UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_what_is_written(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    began = time.time()
    events.emit(cluster, POD, "ns", "Warning", "Refused", "words")
    (found,) = [request.object() for request in kubernetes.server.asked("POST")]
    metadata, at = found.pop("metadata"), found["firstTimestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", at)
    assert int(began) <= datetime.fromisoformat(at).timestamp() <= time.time()
    assert found == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": "ns",
            "name": "r-auth-ensure-abcde",
            "uid": "the-uid",
        },
        "type": "Warning",
        "reason": "Refused",
        "message": "words",
        "source": {"component": "gitops-runtime-auth"},
        "reportingComponent": "gitops-runtime-auth",
        "reportingInstance": "r-auth-ensure-abcde",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    assert re.fullmatch(r"r-auth-ensure-abcde\.[0-9a-f]{16}", metadata["name"])
    assert metadata == {"name": metadata["name"], "namespace": "ns"}
    assert len(written(kubernetes)) == 1


def test_each_event_has_a_name_of_its_own(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    for name in ("p", "p", "", "p" * 253):
        events.emit(cluster, Pod(name, ""), "ns", "Normal", "R", "words")
    names = [found["metadata"]["name"].rpartition(".") for found in written(kubernetes)]
    assert [name for name, _, _ in names] == ["p", "p", "gitops-runtime-auth", "p" * 200]
    assert len({unique for _, _, unique in names}) == 4


def test_a_long_message_is_cut(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    events.emit(cluster, POD, "ns", "Normal", "R", "m" * 2000)
    assert written(kubernetes)[0]["message"] == "m" * 1024


@pytest.fixture
def debug(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(log, "debug", lambda message, **_: lines.append(message))
    return lines


def test_an_event_that_is_refused_is_a_line_at_debug_level(
    kubernetes: FakeKubernetes, cluster: Cluster, debug: list[str]
) -> None:
    kubernetes.allowed = {Rule("get", "", "secrets")}
    events.emit(cluster, POD, "ns", "Warning", "Refused", "words")
    assert debug[-1] == (
        "The Event Refused could not be written: Kubernetes refuses to create events in namespace ns (HTTP 403)."
    )


def test_a_lost_answer_fails_nothing(kubernetes: FakeKubernetes, cluster: Cluster, debug: list[str]) -> None:
    kubernetes.fault("POST", cut="after", times=1)
    events.emit(cluster, POD, "ns", "Normal", "R", "words")
    assert len(written(kubernetes)) == 1
    assert "was changed by somebody else" in debug[-1]


def test_an_event_holds_nothing_up(kubernetes: FakeKubernetes, in_pod: Path, debug: list[str]) -> None:
    cluster = api.connect(Deadline(3600), replace(QUICK, event=0.2))
    kubernetes.server.go_down()
    began = time.monotonic()
    events.emit(cluster, POD, "ns", "Normal", "R", "words")
    assert 0.05 < time.monotonic() - began < SOON
    assert "does not answer" in debug[-1]
    cluster.close()


def test_an_event_does_not_outlast_the_run(kubernetes: FakeKubernetes, in_pod: Path, debug: list[str]) -> None:
    cluster = api.connect(Deadline(0), replace(QUICK, event=LONG))
    kubernetes.server.go_down()
    began = time.monotonic()
    events.emit(cluster, POD, "ns", "Normal", "R", "words")
    assert time.monotonic() - began < SOON
    cluster.close()
