"""The connection check: which key it tries, and how it tells a refusal from an outage."""

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.commands import agent
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import UsageError
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service import health as probes
from gitops_runtime_auth.service.connections import Connections
from tests.unit.fakes.argocd import FakeArgoCD

URL = "https://argocd-server"


def client(fake: FakeArgoCD | None) -> ArgoCD:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    return ArgoCD(Transport(Server(URL), None, httpx.MockTransport(fake.answer if fake else down)), Deadline(0.1))


@pytest.fixture
def fake() -> FakeArgoCD:
    return FakeArgoCD()


@pytest.fixture
def key(fake: FakeArgoCD) -> str:
    argocd = client(fake)
    return argocd.create_key("admin", "mine", argocd.login("admin", fake.accounts["admin"].password))


def test_an_accepted_key_is_ready(fake: FakeArgoCD, key: str) -> None:
    assert agent.check(client(fake), (key,)) == (True, "Argo CD accepts the key of account admin")


def test_a_revoked_key_is_refused_with_argocds_reason(fake: FakeArgoCD, key: str) -> None:
    fake.accounts["admin"].keys.clear()
    ready, reason = agent.check(client(fake), (key,))
    assert not ready
    assert reason == "refused: Argo CD does not accept the key of account admin: the key has been revoked"


def test_an_argocd_that_is_down_is_unreachable_not_refused(key: str) -> None:
    ready, reason = agent.check(client(None), (key,))
    assert not ready
    assert reason.startswith("unreachable: ")


def test_the_environments_key_counts_where_the_files_is_another_servers(fake: FakeArgoCD, key: str) -> None:
    assert agent.check(client(fake), ("of-another-server", key))[0]
    assert agent.check(client(fake), ("of-another-server",)) == (
        False,
        "refused: the injected key is not an Argo CD token",
    )


def test_the_file_comes_first_and_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    given = agent.injected({"ARGO_CD_URL": URL, "ARGO_CD_TOKEN": "old", "ARGO_CD_TOKEN_FILE": str(file)})
    assert given.keys() == ("old",)
    file.write_text("new\n")
    assert given.keys() == ("new", "old")
    file.write_text("old")
    assert given.keys() == ("old",)


def test_what_it_finds_is_measured(fake: FakeArgoCD, key: str) -> None:
    agent.check(client(fake), (key,))
    assert REGISTRY.get_sample_value("gitops_runtime_auth_key_valid") == 1
    fake.accounts["admin"].keys.clear()
    agent.check(client(fake), (key,))
    assert REGISTRY.get_sample_value("gitops_runtime_auth_key_valid") == 0


def test_a_renewed_ca_is_followed_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca, trusted = tmp_path / "ca.crt", list[str | None]()
    monkeypatch.setattr(agent, "_LOOK", 0.0)
    monkeypatch.setattr(agent, "INTERVAL", 0.0)
    monkeypatch.setattr(probes, "serve", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda _, stop: stops.append(stop))
    stops: list[Callable[[], None]] = []

    def argocd(self: Connections, server: Server, pem: str | None, deadline: Deadline) -> ArgoCD:
        trusted.append(pem)
        ca.write_text("renewed")
        if len(trusted) == 2:
            stops[0]()
        return client(None)

    monkeypatch.setattr(Connections, "argocd", argocd)
    ca.write_text("first")
    agent.run({"ARGO_CD_URL": URL, "ARGO_CD_TOKEN": "t"}, ca, insecure=False)
    assert trusted == ["first", "renewed"]


@pytest.mark.parametrize("environ", [{}, {"ARGO_CD_URL": URL}, {"ARGO_CD_TOKEN": "t"}])
def test_an_environment_that_the_chart_did_not_make_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="ARGO_CD"):
        agent.injected(environ)
