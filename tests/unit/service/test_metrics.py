"""The metrics' names and values, as Prometheus reads them."""

import math
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, generate_latest

from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.errors import AuthError
from gitops_runtime_auth.service import metrics
from gitops_runtime_auth.service.metrics import MeasuredTransport
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.web import Answer, as_text

NAMES = {
    "gitops_runtime_auth_key_valid",
    "gitops_runtime_auth_key_info",
    "gitops_runtime_auth_key_age_seconds",
    "gitops_runtime_auth_key_expires_timestamp_seconds",
    "gitops_runtime_auth_key_losses_total",
    "gitops_runtime_auth_keys_reset_by_others",
    "gitops_runtime_auth_argocd_up",
    "gitops_runtime_auth_last_check_timestamp_seconds",
    "gitops_runtime_auth_regenerations_total",
    "gitops_runtime_auth_refusals_total",
    "gitops_runtime_auth_argocd_request_seconds_count",
}
"""What dashboards and alerts of users refer to: none of these may go."""


def value(name: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(f"gitops_runtime_auth_{name}", labels)
    assert found is not None
    return found


@pytest.fixture
def argocd() -> Iterator[FakeArgoCD]:
    fake = FakeArgoCD()
    yield fake
    fake.close()


@pytest.fixture
def transport(argocd: FakeArgoCD) -> Iterator[MeasuredTransport]:
    made = MeasuredTransport(Endpoint(argocd.url))
    yield made
    made.close()


def test_every_name_is_there(transport: MeasuredTransport) -> None:
    metrics.KEY.info({"secret": "argocd-token", "key": "token"})
    metrics.answered(valid=False)
    transport.send("GET", "/api/version", timeout=2.0)
    text = generate_latest(REGISTRY).decode()
    assert {line.split("{")[0].split(" ")[0] for line in text.splitlines()} >= NAMES
    assert 'gitops_runtime_auth_key_info{key="token",secret="argocd-token"} 1.0' in text


def test_an_accepted_key(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.answered(valid=False)
    refusals = value("refusals_total", what="key")
    metrics.LAST_CHECK.set(0)
    began = time.time()
    metrics.answered(valid=True)
    assert value("key_valid") == 1
    assert value("refusals_total", what="key") == refusals
    assert began <= value("last_check_timestamp_seconds") <= time.time()


def test_a_refused_key() -> None:
    metrics.answered(valid=True)
    metrics.answered(valid=False)
    refusals = value("refusals_total", what="key")
    metrics.LAST_CHECK.set(0)
    metrics.answered(valid=False)
    assert value("key_valid") == 0
    assert value("refusals_total", what="key") == refusals + 1
    assert value("last_check_timestamp_seconds") > 0


def test_the_end_of_a_key_that_has_one() -> None:
    metrics.expires(1_900_000_000)
    assert value("key_expires_timestamp_seconds") == 1_900_000_000
    metrics.expires(0)
    assert math.isnan(value("key_expires_timestamp_seconds")), "an alert on a time that comes must not see a 0"


def test_before_the_first_answer_nothing_is_claimed() -> None:
    script = (
        "from gitops_runtime_auth.service.metrics import *; print(KEY_VALID._value.get(), KEY_EXPIRES._value.get())"
    )
    folder = Path(metrics.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "nan nan\n"


def test_requests_are_timed_by_method(argocd: FakeArgoCD, transport: MeasuredTransport) -> None:
    transport.send("GET", "/api/version", timeout=2.0)
    count, seconds = (
        value("argocd_request_seconds_count", method="GET"),
        value("argocd_request_seconds_sum", method="GET"),
    )
    argocd.server.fault("version", delay=0.1)
    began = time.monotonic()
    answer = transport.send("GET", "/api/version", timeout=2.0)
    assert answer.string("Version") == "v3.6.1"
    assert value("argocd_request_seconds_count", method="GET") == count + 1
    assert 0.1 <= value("argocd_request_seconds_sum", method="GET") - seconds <= time.monotonic() - began


def test_up_while_argocd_answers_and_refuses(argocd: FakeArgoCD, transport: MeasuredTransport) -> None:
    metrics.ARGOCD_UP.set(0)
    transport.send("GET", "/api/version", timeout=2.0)
    assert value("argocd_up") == 1
    metrics.ARGOCD_UP.set(0)
    with pytest.raises(AuthError):
        transport.send("GET", "/api/v1/account/admin", timeout=2.0, bearer="a.b.c")
    assert value("argocd_up") == 1


def test_down_when_nobody_answers() -> None:
    metrics.ARGOCD_UP.set(1)
    with socket.socket() as reserved:  # nobody listens, and nobody else gets the port
        reserved.bind(("127.0.0.1", 0))
        transport = MeasuredTransport(Endpoint(f"http://127.0.0.1:{reserved.getsockname()[1]}"))
        with closing(transport), pytest.raises(AuthError):
            transport.send("GET", "/api/version", timeout=2.0)
    assert value("argocd_up") == 0


@pytest.mark.parametrize("answer", [as_text(503, "later"), as_text(200, "<html>")], ids=["busy", "another program"])
def test_down_when_it_is_busy_or_not_argocd(argocd: FakeArgoCD, transport: MeasuredTransport, answer: Answer) -> None:
    metrics.ARGOCD_UP.set(1)
    argocd.server.fault("version", answer=answer)
    with pytest.raises(AuthError):
        transport.send("GET", "/api/version", timeout=2.0)
    assert value("argocd_up") == 0
