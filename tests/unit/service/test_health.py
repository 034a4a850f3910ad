"""The HTTP endpoints of the long-running commands, asked over real sockets."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge, Metric

from gitops_runtime_auth import errors, log
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.service import health as probes
from gitops_runtime_auth.service.health import Health, Status, Verdict
from gitops_runtime_auth.timing import Timing
from tests.fakes import LONG, SOON, wait_until

LONGEST = 0.25
"""Seconds that a connection may last here."""
SECRET_REASON = "Argo CD at https://argocd.example.com refuses the key of account admin."


@pytest.fixture
def health() -> Health:
    return Health(stalls_after=60)


@contextmanager
def serving(health: Health, registry: CollectorRegistry, longest: float) -> Iterator[probes.Server]:
    server = probes.serve(health, 0, Timing(probe_request=longest), registry)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(health: Health) -> Iterator[probes.Server]:
    registry = CollectorRegistry()
    Gauge("a_metric", "For the test.", registry=registry).set(7)
    with serving(health, registry, LONGEST) as server:
        yield server


@pytest.fixture
def patient(health: Health) -> Iterator[probes.Server]:
    """A server that ends no connection because of its age while a test lasts; it looks every 0.1 s."""
    timing = Timing(probe_request=60.0)
    server = probes.Server(0, probes.handler(health, CollectorRegistry()), timing.probe_request)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(server: probes.Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def connect(server: probes.Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=SOON)


@pytest.fixture
def served() -> Callable[[], int]:
    """Count the threads that serve a connection; those that other tests have left behind serve none of these."""
    left = set(threading.enumerate())
    return lambda: sum("process_request_thread" in thread.name for thread in {*threading.enumerate()} - left)


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (Status.READY, 200, "ready"),
        (Status.NOT_CHECKED, 503, "not ready: not checked yet"),
        (Status.REFUSED, 503, "not ready: refused"),
        (Status.UNREACHABLE, 503, "not ready: unreachable"),
        (Status.MISCONFIGURED, 503, "not ready: configuration"),
        (Status.STANDING_BY, 503, "not ready: standing by"),
        (Status.FAILED, 503, "not ready: failed"),
    ],
)
def test_readyz_tells_the_category_and_never_the_reason(
    health: Health, url: str, status: Status, code: int, text: str
) -> None:
    health.report(status, SECRET_REASON)
    answer = httpx.get(f"{url}/readyz")
    assert (answer.status_code, answer.text) == (code, f"{text}\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_not_ready_before_the_first_check(url: str) -> None:
    answer = httpx.get(f"{url}/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready: not checked yet\n")


def test_every_change_is_logged_once_with_the_whole_reason(health: Health, capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(as_json=True)
    assert health.report(Status.REFUSED, SECRET_REASON)
    assert not health.report(Status.REFUSED, SECRET_REASON)
    assert health.report(Status.REFUSED, "Another reason.")
    assert health.report(Status.READY, "Another reason.")
    assert health.ready
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["message"], line["ready"]) for line in lines] == [
        ("warning", SECRET_REASON, False),
        ("warning", "Another reason.", False),
        ("info", "Another reason.", True),
    ]


def test_alive_until_the_main_loop_has_not_turned_for_so_long(url: str) -> None:
    now = [1000.0]
    health = Health(stalls_after=60, clock=lambda: now[0])
    now[0] += 59.9
    assert health.alive()
    now[0] += 0.1
    assert not health.alive()
    health.beat()
    assert health.alive()


def test_healthz_by_its_url(health: Health, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = httpx.get(f"{url}/healthz")
    assert (answer.status_code, answer.text, answer.headers["Content-Length"]) == (200, "ok\n", "3")
    monkeypatch.setattr(health, "_stalls_after", 0.0)
    answer = httpx.get(f"{url}/healthz?verbose")
    assert (answer.status_code, answer.text) == (503, "the main loop has stalled\n")


@pytest.mark.parametrize("address", ["127.0.0.1", *(["[::1]"] if socket.has_dualstack_ipv6() else [])])
def test_the_kubelet_may_ask_over_each_family_that_the_kernel_has(server: probes.Server, address: str) -> None:
    assert httpx.get(f"http://{address}:{server.server_port}/healthz").text == "ok\n"


def test_metrics_are_prometheus_text(url: str) -> None:
    answer = httpx.get(f"{url}/metrics")
    assert answer.text.endswith("\na_metric 7.0\n")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")


def test_no_other_path_and_no_other_method(url: str) -> None:
    answer = httpx.get(f"{url}/other")
    assert (answer.status_code, answer.text) == (404, "not found: there are /healthz, /readyz and /metrics\n")
    assert httpx.post(f"{url}/healthz").status_code == 501


def test_idle_connections_beyond_the_bound_end_the_oldest_and_probes_are_answered(
    patient: probes.Server, served: Callable[[], int]
) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(patient)) for _ in range(3 * probes.MOST_CONNECTIONS)]
        assert httpx.get(f"http://127.0.0.1:{patient.server_port}/healthz", timeout=SOON).status_code == 200
        assert served() <= probes.MOST_CONNECTIONS
        assert all(t.daemon for t in threading.enumerate() if "process_request" in t.name), "none holds the process up"
        assert idle[0].recv(1) == b"", "the oldest is ended"
        idle[-1].settimeout(0.05)
        with pytest.raises(TimeoutError):
            idle[-1].recv(1)


class Stuck:
    """Metrics that take until ``release`` to be collected."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def collect(self) -> Iterable[Metric]:
        self.release.wait(LONG)
        return []


def test_when_no_connection_can_be_ended_a_further_one_is_closed(health: Health, served: Callable[[], int]) -> None:
    registry, stuck = CollectorRegistry(), Stuck()
    registry.register(stuck)
    with serving(health, registry, LONGEST) as server, ExitStack() as stack:
        for _ in range(probes.MOST_CONNECTIONS):
            stack.enter_context(connect(server)).sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_until(lambda: served() == probes.MOST_CONNECTIONS)
        with connect(server) as further:
            assert further.recv(1) == b""
        assert served() == probes.MOST_CONNECTIONS
        stuck.release.set()
        wait_until(lambda: served() == 0)
        assert httpx.get(f"http://127.0.0.1:{server.server_port}/healthz").status_code == 200


def test_as_many_as_the_bound_live_side_by_side(patient: probes.Server) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(patient)) for _ in range(probes.MOST_CONNECTIONS)]
        idle[-1].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert idle[-1].recv(99).startswith(b"HTTP/1.0 200"), "the last one was accepted, so all were"
        idle[0].settimeout(0.05)
        with pytest.raises(TimeoutError):
            idle[0].recv(1)


def test_a_connection_that_is_idle_ends_in_time(server: probes.Server) -> None:
    with connect(server) as idle:
        began = time.monotonic()
        assert idle.recv(1) == b""
        assert time.monotonic() - began >= LONGEST


def test_a_request_that_trickles_in_ends_in_time(server: probes.Server) -> None:
    """A timeout of single reads would not end it: every byte starts that anew."""
    began = time.monotonic()

    def trickle(client: socket.socket) -> None:
        while time.monotonic() - began < SOON:
            client.sendall(b"G")
            time.sleep(0.02)

    with connect(server) as slow, pytest.raises(OSError):
        trickle(slow)


def test_a_client_that_does_not_read_ends_in_time(health: Health, served: Callable[[], int]) -> None:
    registry = CollectorRegistry()
    big = Gauge("big", "More than all socket buffers hold.", ["name"], registry=registry)
    for number in range(800):
        big.labels(f"{number:020000}")
    with serving(health, registry, LONGEST) as server, connect(server) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        began = time.monotonic()
        wait_until(lambda: served() == 1)
        wait_until(lambda: served() == 0)
        assert time.monotonic() - began >= LONGEST * 0.9


def test_a_connection_that_its_client_has_closed_can_be_ended_too(server: probes.Server) -> None:
    gone = socket.socket()
    gone.close()
    server._end(gone)
    assert httpx.get(f"http://127.0.0.1:{server.server_port}/healthz").status_code == 200


def test_clients_that_go_away_leave_no_word_in_the_log(
    server: probes.Server, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.setup()
    for sent in (b"", b"GET /metr", b"GET /metrics HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\xff\r\n\r\n"):
        with connect(server) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # closed by a reset
            client.sendall(sent)
    assert httpx.get(f"{url}/healthz").status_code == 200
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UnreachableError("", ""), Status.UNREACHABLE),
        (errors.TemporaryError("", ""), Status.UNREACHABLE),
        (errors.KeyRefusedError("", "", refusal=errors.Refusal.KEY_REVOKED), Status.REFUSED),
        (errors.PrivilegeError("", ""), Status.REFUSED),
        (errors.MissingSecretError("", ""), Status.MISCONFIGURED),
        (errors.WrongServerError("", ""), Status.MISCONFIGURED),
        (errors.ConflictError("x"), Status.FAILED),
        (errors.UsageError("", ""), Status.FAILED),
    ],
)
def test_the_status_of_an_error(error: AuthError, status: Status) -> None:
    assert probes.status_of(error) is status


def test_the_port_is_the_charts() -> None:
    assert probes.PORT == 8080


def test_a_verdict_is_quiet_unless_it_says_otherwise() -> None:
    assert (
        Verdict(Status.READY, "x").remedy,
        Verdict(Status.READY, "x").again_soon,
        Verdict(Status.READY, "x").warn,
    ) == ("", False, False)
