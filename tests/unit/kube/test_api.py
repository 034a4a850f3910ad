"""The client of the Kubernetes API: each call, what it retries, and what it gives up on."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import (
    AnswerError,
    ConfigurationError,
    ConflictError,
    NamespaceGoneError,
    RbacError,
    TemporaryError,
    UnreachableError,
)
from gitops_runtime_auth.kube import api
from gitops_runtime_auth.kube.api import Cluster, configmap_path, namespace_path, secret_path, workload_path
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing
from tests.fakes import LONG, SOON, wait_until
from tests.fakes.kubernetes import TOKEN, FakeKubernetes, Rule
from tests.fakes.web import Answer, as_json, as_text
from tests.unit.kube.conftest import QUICK

X = "/api/v1/namespaces/ns/secrets/x"
SECRETS = "/api/v1/namespaces/ns/secrets"


def named(name: str, **fields: object) -> api.Object:
    return {"metadata": {"name": name}, **fields}


def impatient(cluster: Cluster, seconds: float = 0.0) -> Cluster:
    return cluster.within(Deadline(seconds))


def test_paths() -> None:
    assert namespace_path("n") == "/api/v1/namespaces/n"
    assert secret_path("n") == "/api/v1/namespaces/n/secrets"
    assert secret_path("n", "s") == "/api/v1/namespaces/n/secrets/s"
    assert configmap_path("n") == "/api/v1/namespaces/n/configmaps"
    assert configmap_path("n", "c") == "/api/v1/namespaces/n/configmaps/c"
    assert workload_path("n", "deployment", "d") == "/apis/apps/v1/namespaces/n/deployments/d"
    assert workload_path("n", "statefulset", "s") == "/apis/apps/v1/namespaces/n/statefulsets/s"


def test_an_object_is_read_and_an_absent_one_is_none(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    stored = kubernetes.put(X, {"data": {"a": "YQ=="}})
    assert cluster.get(X) == stored
    assert cluster.get(f"{X}-absent") is None


def test_an_object_of_a_kind_that_the_cluster_does_not_know_is_absent(cluster: Cluster) -> None:
    assert cluster.get("/apis/argoproj.io/v1beta1/namespaces/ns/argocds/x") is None
    assert cluster.get("/api/v1/namespaces/ns/wishes/x") is None


def test_what_is_sent(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.put(X, {})
    cluster.get(X)
    cluster.patch(X, {"data": {"a": "YQ=="}})
    get, patch = kubernetes.server.log
    assert get.headers["Authorization"] == f"bearer {TOKEN}"
    assert (get.headers["Accept"], get.headers["User-Agent"]) == ("application/json", "gitops-runtime-auth")
    assert (get.headers["Content-Type"], get.body) == ("application/json", b"")
    assert patch.headers["Content-Type"] == "application/merge-patch+json"
    assert patch.object() == {"data": {"a": "YQ=="}}


def test_create(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    made = cluster.create(SECRETS, named("x", data={"a": "YQ=="}))
    assert made == kubernetes.objects[X]
    assert made["data"] == {"a": "YQ=="}
    with pytest.raises(ConflictError, match=r"^secrets/x was changed by somebody else in the meantime\.$"):
        cluster.create(SECRETS, named("x"))


def test_create_where_nothing_can_be_made(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    with pytest.raises(NamespaceGoneError):
        cluster.create("/api/v1/namespaces/absent/secrets", named("x"))
    with pytest.raises(AnswerError):
        cluster.create("/api/v1/namespaces/ns/wishes", named("x"))


def test_a_lost_answer_to_a_creation_ends_in_a_conflict(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.fault("POST", cut="after", times=1)
    with pytest.raises(ConflictError):
        cluster.create(SECRETS, named("x"))
    assert X in kubernetes.objects


def test_replace(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    old = kubernetes.put(X, {"data": {"a": "YQ=="}})
    new = cluster.replace(X, {**old, "data": {"a": "Yg=="}})
    assert new == kubernetes.objects[X]
    assert new["data"] == {"a": "Yg=="}
    with pytest.raises(ConflictError):
        cluster.replace(X, {**old, "data": {"a": "Yw=="}})
    kubernetes.remove(X)
    with pytest.raises(ConflictError, match=r"^secrets/x was changed"):
        cluster.replace(X, new)


def test_patch(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.put(X, {"data": {"a": "YQ==", "b": "Yg=="}})
    patched = cluster.patch(X, {"data": {"a": None, "c": "Yw=="}})
    assert patched == kubernetes.objects[X]
    assert patched["data"] == {"b": "Yg==", "c": "Yw=="}
    with pytest.raises(ConflictError):
        cluster.patch(f"{X}-absent", {})


def test_delete(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    version = kubernetes.put(X, {})["metadata"]["resourceVersion"]
    with pytest.raises(ConflictError):
        cluster.delete(X, "1")
    assert X in kubernetes.objects
    cluster.delete(X, version)
    assert X not in kubernetes.objects
    cluster.delete(X, version)
    kubernetes.put(X, {})
    cluster.delete(X)
    assert X not in kubernetes.objects
    sent = [request.object() for request in kubernetes.server.asked("DELETE")]
    assert sent[1] == {"propagationPolicy": "Background", "preconditions": {"resourceVersion": version}}
    assert sent[3] == {"propagationPolicy": "Background"}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_can_heal_is_tried_again(kubernetes: FakeKubernetes, cluster: Cluster, status: int) -> None:
    kubernetes.put(X, {})
    kubernetes.fault("GET", answer=as_text(status, "busy"), times=2)
    assert cluster.get(X)
    assert len(kubernetes.log) == 3
    kubernetes.fault("GET", answer=as_text(status, "busy"))
    with pytest.raises(TemporaryError, match=rf"^The Kubernetes API is busy \(HTTP {status}\)\.$"):
        impatient(cluster).get(X)


@pytest.mark.parametrize("status", [300, 301, 400, 404, 405, 413, 501])
def test_what_can_not_heal_is_not_tried_again(kubernetes: FakeKubernetes, cluster: Cluster, status: int) -> None:
    kubernetes.fault("GET", answer=as_text(status, "no"))
    problem = rf"^Something other than the Kubernetes API answers GET {X} \(HTTP {status}\)\.$"
    with pytest.raises(AnswerError, match=problem) as raised:
        cluster.get(X)
    assert raised.value.status == status
    assert len(kubernetes.log) == 1


@pytest.mark.parametrize("cut", ["before", "after", "middle"])
def test_a_connection_that_breaks_is_made_again(kubernetes: FakeKubernetes, cluster: Cluster, cut: str) -> None:
    kubernetes.put(X, {"data": {"a": "YQ=="}})
    kubernetes.fault("GET", cut=cut, times=1)
    assert cluster.get(X)
    assert len(kubernetes.log) == 2


def test_what_is_logged(kubernetes: FakeKubernetes, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    for level in ("debug", "progress"):
        monkeypatch.setattr(log, level, lambda message, **_: lines.append(message))
    kubernetes.fault("GET", answer=as_text(503, "busy"), times=1)
    cluster.get(X)
    first, again, second = lines
    assert first.startswith(f"span kubernetes GET {X} ")
    assert again.startswith("Kubernetes GET: The Kubernetes API is busy (HTTP 503).; trying again in 0.0 s (")
    assert second.startswith(f"span kubernetes GET {X} ")


def test_the_server_says_how_long_to_wait(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.fault("GET", answer=as_json(429, {"kind": "Status"}, **{"Retry-After": "60"}))
    with pytest.raises(TemporaryError) as raised:
        cluster.get(X)
    assert raised.value.retry_after == 60
    assert len(kubernetes.log) == 1, "60 s are more than this deadline"


def test_no_answer_until_the_deadline(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.server.go_down()
    began = time.monotonic()
    with pytest.raises(
        UnreachableError, match=r"^The Kubernetes API does not answer \(NewConnectionError\)\.$"
    ) as raised:
        impatient(cluster, 0.15).get(X)
    assert 0.05 < time.monotonic() - began < SOON
    assert raised.value.sent
    assert raised.value.remedy == "Check the network policies and the API server's health, then try again."


def test_the_last_try_outlasts_the_deadline(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.put(X, {})
    kubernetes.fault("GET", delay=0.1)
    assert impatient(cluster).get(X)
    ended = threading.Event()
    kubernetes.server.heal()
    kubernetes.fault("GET", does=lambda: ended.wait(LONG))
    began = time.monotonic()
    try:
        with pytest.raises(UnreachableError):
            impatient(cluster).get(X)
        assert time.monotonic() - began < SOON
    finally:
        ended.set()


def test_a_request_has_its_own_bound(kubernetes: FakeKubernetes, in_pod: Path) -> None:
    kubernetes.put(X, {})
    kubernetes.fault("GET", delay=0.4, times=1)
    cluster = api.connect(Deadline(20), replace(QUICK, kubernetes_request=0.15))
    assert cluster.get(X)
    assert len(kubernetes.log) == 2
    cluster.close()


@pytest.mark.parametrize("content", [b"[1]", b"null", b"<html>", b"", b"[" * 5000])
def test_something_that_is_no_object(kubernetes: FakeKubernetes, cluster: Cluster, content: bytes) -> None:
    kubernetes.fault("GET", answer=Answer(200, content))
    with pytest.raises(
        AnswerError, match=f"^The Kubernetes API answers GET {X} with something that is not an"
    ) as raised:
        cluster.get(X)
    assert raised.value.remedy == ("Check what stands between this pod and the API server (a proxy needs NO_PROXY).")
    assert raised.value.status == 200


def test_a_404_that_is_not_from_kubernetes_is_no_absent_object(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.fault("GET", answer=as_json(404, {"message": "no route"}))
    with pytest.raises(AnswerError, match="Something other than the Kubernetes API"):
        cluster.get(X)
    kubernetes.server.heal()
    kubernetes.fault("GET", answer=as_json(404, {"kind": "Status", "reason": "NotFound"}))
    assert cluster.get(X) is None


def test_other_deadline_same_connections(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    other = Deadline(3)
    made = cluster.within(other)
    assert (made.deadline, made.timing, cluster.deadline.seconds) == (other, cluster.timing, 20)
    cluster.get(X)
    made.get(X)
    assert len(kubernetes.server._connections) <= 2, "one connection, which counts as a plain and a TLS socket"


def test_connections_can_be_closed(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    cluster.get(X)
    cluster.close()
    wait_until(lambda: not kubernetes.server._connections)


def test_a_watch_tells_the_present_and_each_change(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.put(X, {})
    events = cluster.watch(f"{SECRETS}?fieldSelector=metadata.name=x", 10)
    assert next(events)["type"] == "ADDED"
    kubernetes.put(X, {"data": {"a": "YQ=="}})
    kubernetes.put(f"{X}-other", {})
    kubernetes.remove(X)
    changed, deleted = next(events), next(events)
    assert (changed["type"], changed["object"]["data"]) == ("MODIFIED", {"a": "YQ=="})
    assert (deleted["type"], deleted["object"]["metadata"]["name"]) == ("DELETED", "x")
    kubernetes.watches.end()
    assert list(events) == []


@pytest.mark.parametrize(
    ("path", "seconds", "query"),
    [
        (SECRETS, 0.5, "resourceVersion=0&watch=true&timeoutSeconds=1"),
        (f"{SECRETS}?a=b", 240.9, "a=b&resourceVersion=0&watch=true&timeoutSeconds=240"),
    ],
)
def test_a_watch_is_open_when_it_is_returned(
    kubernetes: FakeKubernetes, cluster: Cluster, path: str, seconds: float, query: str
) -> None:
    cluster.watch(path, seconds)
    assert [(r.path, r.query) for r in kubernetes.server.log] == [(SECRETS, query)]
    kubernetes.put(X, {})
    kubernetes.watches.end()


def test_a_watch_that_is_refused(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.allowed = {Rule("get", "", "secrets")}
    with pytest.raises(RbacError, match=r"^Kubernetes refuses to watch secrets in namespace ns \(HTTP 403\)\.$"):
        cluster.watch(SECRETS, 1)
    kubernetes.fault("GET", answer=as_text(503, "busy"))
    with pytest.raises(TemporaryError):
        cluster.watch(SECRETS, 1)


def test_a_watch_that_breaks(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    kubernetes.put(X, {})
    events = cluster.watch(SECRETS, 10)
    assert next(events)["type"] == "ADDED"
    kubernetes.server.hang_up()
    with pytest.raises(UnreachableError):
        next(events)


def test_a_watch_that_falls_silent(kubernetes: FakeKubernetes, in_pod: Path) -> None:
    silent = threading.Event()

    def nothing() -> Iterator[bytes]:
        silent.wait(LONG)
        yield b""

    kubernetes.fault("GET", answer=Answer(200, stream=nothing()))
    cluster = api.connect(Deadline(20), Timing(kubernetes_request=0.1))
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        list(cluster.watch(SECRETS, 0.1))
    assert 0.15 < time.monotonic() - began < SOON
    silent.set()
    cluster.close()


def test_lines_of_a_watch_come_in_pieces(kubernetes: FakeKubernetes, cluster: Cluster) -> None:
    told = [{"type": "ADDED", "object": {"n": n}} for n in range(3)]
    text = "".join(json.dumps(event) + "\n" for event in told).encode()
    pieces = iter([text[:7], text[7:40], text[40:]])
    kubernetes.fault("GET", answer=Answer(200, stream=pieces))
    assert list(cluster.watch(SECRETS, 1)) == told


@pytest.mark.parametrize("line", [b"no JSON\n", b"[1]\n"])
def test_a_watch_that_speaks_something_else(kubernetes: FakeKubernetes, cluster: Cluster, line: bytes) -> None:
    kubernetes.fault("GET", answer=Answer(200, stream=iter([b'{"type":"ADDED"}\n', line])))
    events = cluster.watch(SECRETS, 1)
    assert next(events) == {"type": "ADDED"}
    with pytest.raises(UnreachableError):
        next(events)


def test_a_server_whose_certificate_another_ca_signed(kubernetes: FakeKubernetes, in_pod: Path) -> None:
    import trustme

    (in_pod / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    cluster = api.connect(Deadline(LONG), QUICK)
    began = time.monotonic()
    with pytest.raises(
        ConfigurationError, match=r"^The certificate of the Kubernetes API can't be verified \(.+\)\.$"
    ) as raised:
        cluster.get(X)
    assert raised.value.remedy == (
        "In a Pod: see that no proxy or service mesh is in front of the API server. With a kubeconfig: correct its"
        " certificate-authority."
    )
    assert time.monotonic() - began < SOON, "waiting does not mend that"
    assert kubernetes.log == []
