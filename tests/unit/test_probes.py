"""The probes' answers, asked over a real socket."""

import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge

from gitops_runtime_auth.service import health as probes


@pytest.fixture
def health() -> probes.Health:
    return probes.Health(stalls_after=60)


@pytest.fixture
def url(health: probes.Health) -> Iterator[str]:
    registry = CollectorRegistry()
    Gauge("a_metric", "For the test.", registry=registry).set(7)
    server = probes.serve(health, 0, registry)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_ready_only_after_a_good_report_and_with_the_reason(health: probes.Health, url: str) -> None:
    assert httpx.get(f"{url}/readyz").status_code == 503
    assert health.report(ready=True, reason="all is well")
    answer = httpx.get(f"{url}/readyz")
    assert (answer.status_code, answer.text) == (200, "all is well\n")
    assert not health.report(ready=True, reason="all is well"), "no change, nothing to log"
    health.report(ready=False, reason="refused: revoked")
    answer = httpx.get(f"{url}/readyz")
    assert (answer.status_code, answer.text) == (503, "refused: revoked\n")


def test_alive_while_the_loop_turns(url: str, health: probes.Health, monkeypatch: pytest.MonkeyPatch) -> None:
    assert httpx.get(f"{url}/healthz").status_code == 200
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert not health.alive()


def test_the_kubelet_may_ask_over_ipv6(url: str) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("needs a kernel with IPv6")
    assert httpx.get(url.replace("127.0.0.1", "[::1]") + "/healthz").text == "ok\n"


def test_metrics_are_prometheus_text_and_other_paths_are_not_found(url: str) -> None:
    assert "a_metric 7.0" in httpx.get(f"{url}/metrics").text
    assert httpx.get(f"{url}/other").status_code == 404
