"""``agent``, the connection agent: ready only while Argo CD accepts the key that the chart injected."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from gitops_runtime_auth.commands import agent
from gitops_runtime_auth.commands.agent import Agent, Injected
from gitops_runtime_auth.service.connections import Mounted
from gitops_runtime_auth.service.health import Health, Status
from tests.fakes.authority import authority
from tests.fakes.keeper import metric
from tests.fakes.web import as_json, as_text
from tests.fakes.world import ACCOUNT, FAST, ONCE, World


@pytest.fixture
def key(world: World) -> str:
    return world.argocd.make_key(ACCOUNT, "mine")


def agent_of(world: World, token: str, file: Path | None = None) -> Agent:
    return Agent(Injected(world.url, token, file), Mounted(world.files), ONCE)


@contextmanager
def running(made: Agent) -> Iterator[Health]:
    """Let an agent run in the background."""
    health, stopped = Health(FAST.stalls_after), threading.Event()
    made._timing = FAST
    thread = threading.Thread(target=made.run, args=(health, stopped))
    thread.start()
    yield health
    stopped.set()
    thread.join(5)
    assert not thread.is_alive()


def becomes(health: Health, status: Status) -> bool:
    """Wait until the agent reports a status."""
    done = threading.Event()
    for _ in range(500):
        if health.status is status:
            return True
        done.wait(0.01)
    return False


def test_an_accepted_key_is_ready(world: World, key: str) -> None:
    status, reason = agent_of(world, key).check()
    assert status is Status.READY
    assert ACCOUNT in reason
    assert metric("key_valid") == 1
    assert metric("argocd_up") == 1


def test_a_revoked_key_is_refused_with_argocds_reason(world: World, key: str) -> None:
    world.argocd.revoke(ACCOUNT)
    status, reason = agent_of(world, key).check()
    assert status is Status.REFUSED
    assert "revoked" in reason
    assert metric("key_valid") == 0


def test_an_argocd_that_is_down_is_unreachable_and_says_nothing_of_the_key(world: World, key: str) -> None:
    agent_of(world, key).check()
    world.argocd.close()
    status, _ = agent_of(world, key).check()
    assert status is Status.UNREACHABLE
    assert metric("key_valid") == 1
    assert metric("argocd_up") == 0


def test_a_gateway_is_no_refusal(world: World, key: str) -> None:
    agent_of(world, key).check()
    for answer in (as_json(401, {"message": "please sign in"}), as_text(200, "<html>")):
        world.argocd.server.heal()
        world.argocd.server.fault(".*", answer=answer)
        status, _ = agent_of(world, key).check()
        assert status not in (Status.READY, Status.REFUSED)
        assert metric("key_valid") == 1


def test_the_environments_key_counts_where_the_files_is_another_servers(
    world: World, key: str, tmp_path: Path
) -> None:
    """An upgrade to another server is under way: the file has followed, the Pod's environment is of before."""
    file = tmp_path / "token"
    file.write_text(world.other.make_key(ACCOUNT, "of another server"))
    assert agent_of(world, key, file).check()[0] is Status.READY
    assert agent_of(world, "", file).check()[0] is Status.REFUSED


def test_the_file_comes_first_and_is_read_anew(world: World, key: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    made = agent_of(world, "", file)
    assert made.check()[0] is Status.REFUSED
    file.write_text(f"{key}\n")
    assert made.check()[0] is Status.READY
    file.unlink()
    assert made.check()[0] is Status.REFUSED


def test_a_renewed_ca_is_followed_without_a_restart(world: World, key: str) -> None:
    world.trust(world.other)
    made = agent_of(world, key)
    assert made.check()[0] is Status.MISCONFIGURED
    world.trust(world.argocd)
    assert made.check()[0] is Status.READY


def test_a_ca_that_is_none_is_told(world: World, key: str) -> None:
    world.mount("ca", **{"ca.crt": "x"})
    assert agent_of(world, key).check()[0] is Status.MISCONFIGURED


def test_a_change_of_the_file_is_noticed_before_the_interval_is_over(world: World, key: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("nothing")
    with mock.patch.object(FAST, "__class__", FAST.__class__), running(agent_of(world, "", file)) as health:
        assert becomes(health, Status.REFUSED)
        file.write_text(key)
        assert becomes(health, Status.READY)


def test_a_revocation_is_noticed(world: World, key: str) -> None:
    with running(agent_of(world, key)) as health:
        assert becomes(health, Status.READY)
        world.argocd.revoke(ACCOUNT)
        assert becomes(health, Status.REFUSED)


def test_it_does_not_spin(world: World, key: str) -> None:
    with running(agent_of(world, key)) as health:
        assert becomes(health, Status.READY)
        before = len(world.argocd.server.log)
        threading.Event().wait(10 * FAST.agent_interval)
        assert len(world.argocd.server.log) - before <= 14


@pytest.mark.parametrize("environ", [{}, {"ARGO_CD_URL": "https://x"}, {"ARGO_CD_TOKEN": "t"}])
def test_an_environment_that_the_chart_did_not_make_is_named(world: World, environ: dict[str, str]) -> None:
    done = world.run("agent", **environ)
    assert done.code == 64
    assert "ARGO_CD" in done.problem


def test_no_key_is_in_its_repr(world: World, key: str) -> None:
    assert key not in repr(agent.injected({"ARGO_CD_URL": "https://x", "ARGO_CD_TOKEN": key}))


def test_the_authority_of_the_tests_is_not_the_other_one() -> None:
    assert authority("argocd").pem != authority("other").pem
