"""Connections that outlive a check: shared while they are used, closed when they are not, never handed to another."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.connections import Connections
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing
from tests.fakes import SOON, wait_until
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.kubernetes import FakeKubernetes

FAST = Timing(first_retry=0.01, idle_connection=0.1)


@pytest.fixture
def argocd() -> Iterator[FakeArgoCD]:
    fake = FakeArgoCD()
    yield fake
    fake.close()


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections(FAST, Transport)
    yield made
    made.close()


def open_at(server: FakeArgoCD) -> int:
    """Return how many connections a server has open."""
    return len(server.server._connections)


def settles(server: FakeArgoCD, count: int) -> None:
    wait_until(lambda: open_at(server) == count)


def test_one_connection_serves_check_after_check(argocd: FakeArgoCD, connections: Connections) -> None:
    for _ in range(3):
        client = connections.argocd(Endpoint(argocd.url), Deadline(5))
        assert client.version() == "v3.6.1"
    assert open_at(argocd) == 1


def test_each_check_has_the_deadline_that_it_was_given(argocd: FakeArgoCD, connections: Connections) -> None:
    argocd.server.fault("version", answer=None, cut="before")
    tries = []
    for seconds in (0.0, 0.1, 0.0):
        before = len(argocd.server.asked())
        with pytest.raises(Exception, match="does not answer"):
            connections.argocd(Endpoint(argocd.url), Deadline(seconds)).version()
        tries.append(len(argocd.server.asked()) - before)
    assert (tries[0], tries[2]) == (1, 1)
    assert tries[1] > 1


def test_another_header_is_another_connection(argocd: FakeArgoCD, connections: Connections) -> None:
    connections.argocd(Endpoint(argocd.url), Deadline(5)).version()
    connections.argocd(Endpoint(argocd.url, headers=(("X-A", "1"),)), Deadline(5)).version()
    assert [r.headers.get("X-A") for r in argocd.server.asked()] == [None, "1"]
    assert open_at(argocd) == 2


def test_a_connection_that_nobody_asked_for_is_closed_and_one_in_use_is_not(
    argocd: FakeArgoCD, connections: Connections
) -> None:
    endpoint, other = Endpoint(argocd.url), Endpoint(argocd.url, headers=(("X-A", "1"),))
    first = connections.argocd(endpoint, Deadline(5))
    first.version()
    for _ in range(3):
        time.sleep(FAST.idle_connection / 2)
        connections.argocd(other, Deadline(5)).version()
    settles(argocd, 1)
    again = connections.argocd(endpoint, Deadline(5))
    assert again.version() == "v3.6.1", "asked for once more, it is opened anew"
    time.sleep(FAST.idle_connection + 0.05)
    assert connections.argocd(endpoint, Deadline(5)).version() == "v3.6.1"
    assert again.version() == "v3.6.1", "it was asked for all the time, so it was never closed"
    settles(argocd, 1)


def test_many_servers_of_one_check_stay_open_beside_each_other(argocd: FakeArgoCD, connections: Connections) -> None:
    """Keys of several servers are revoked in one check: none may close the connection of another."""
    clients = [connections.argocd(Endpoint(argocd.url, headers=(("X", str(n)),)), Deadline(5)) for n in range(9)]
    assert [client.version() for client in clients] == ["v3.6.1"] * 9
    assert open_at(argocd) == 9


def test_close_closes_all(argocd: FakeArgoCD) -> None:
    made = Connections(FAST, Transport)
    made.argocd(Endpoint(argocd.url), Deadline(5)).version()
    made.close()
    settles(argocd, 0)


def test_the_kubernetes_client_is_one_with_a_deadline_for_each_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connections: Connections
) -> None:
    with FakeKubernetes() as kubernetes:
        for name, value in kubernetes.service_account(tmp_path).items():
            monkeypatch.setenv(name, value)
        first = connections.cluster(Deadline(5))
        assert first.get("/api/v1/namespaces/ns") is not None
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST")  # a second client could not be made
        began = time.monotonic()
        kubernetes.server.go_down()
        with pytest.raises(Exception, match="does not answer"):
            connections.cluster(Deadline(0.2)).get("/api/v1/namespaces/ns")
        assert time.monotonic() - began < SOON


def test_nothing_is_sent_before_a_request(argocd: FakeArgoCD, connections: Connections) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections.argocd(Endpoint(f"http://127.0.0.1:{server.getsockname()[1]}"), Deadline(5))
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()
