"""``retire`` and ``cleanup`` end keys where they were made, and never fail what they serve."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hook import cleanup, cli, handover, log, store
from hook import retire as command
from hook.context import Context
from hook.retire import retire
from tests.unit.fakes.argocd import FakeAccount
from tests.unit.fakes.faults import Plan
from tests.unit.fakes.world import NAMESPACE, SECRET, World


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logger = logging.getLogger("gitops-runtime-auth")
    logger.addHandler(caplog.handler)
    logger.setLevel("INFO")
    yield caplog
    logger.removeHandler(caplog.handler)
    log.setup()


@pytest.fixture
def moved(world: World) -> World:
    """An upgrade went from admin to another account."""
    world.argocd.accounts["second"] = FakeAccount("second-password")
    world.run()
    world.username = "second"
    world.give("second-password")
    world.run()
    assert len(world.live()) == 2
    return world


def consumer(world: World, *, done: bool) -> Context:
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/c"
    status = {"observedGeneration": 2, "replicas": 1 if done else 2, "updatedReplicas": 1, "availableReplicas": 1}
    world.cluster.objects[path] = {"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}
    return replace(world.context(), consumers=("c",))


def test_the_replaced_key_is_revoked_once_the_rollout_is_done(moved: World) -> None:
    assert "revoked" in retire(consumer(moved, done=True))
    assert moved.live() == [moved.key()]
    assert store.content(moved.cluster.get(SECRET), "runtime").previous == ()


def test_an_unfinished_rollout_leaves_it_alive_and_names_it(
    moved: World, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_RESERVE", 29.5)
    monkeypatch.setattr(command, "_LOOK", 0.1)
    retire(consumer(moved, done=False))
    assert len(moved.live()) == 2
    assert next(iter(moved.argocd.accounts["admin"].keys)) in said.text


def test_a_disabled_accounts_key_is_remembered_as_it_would_come_back(
    moved: World, said: pytest.LogCaptureFixture
) -> None:
    moved.argocd.accounts["admin"].enabled = False
    retire(moved.context())
    assert "argocd account delete-token --account admin" in said.text
    assert len(store.content(moved.cluster.get(SECRET), "runtime").previous) == 1
    moved.argocd.accounts["admin"].enabled = True
    retire(moved.context())
    assert moved.live() == [moved.key()]


def test_with_type_token_nothing_of_the_password_stays(world: World) -> None:
    world.run()
    world.auth_type = "token"
    retire(world.context())
    assert world.live() == []
    assert world.cluster.get(SECRET) is None


def test_a_second_name_of_the_same_argocd_keeps_the_present_key(world: World) -> None:
    world.run()
    stored = store.content(world.cluster.get(SECRET), "runtime")
    assert stored.current is not None
    alias = replace(stored.current, url="https://argocd-server.argocd.svc")
    assert handover.revoke(world.context(), alias, keep=stored.current.key_id()) is None
    assert world.live() == [world.key()]


def test_cleanup_revokes_and_deletes(world: World) -> None:
    world.run()
    job, pod = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/j", f"/api/v1/namespaces/{NAMESPACE}/pods/p"
    world.cluster.objects.update({path: {"metadata": {"resourceVersion": "1"}} for path in (job, pod)})
    cleanup.cleanup(world.context(), "j", "p")
    assert world.live() == []
    assert world.cluster.get(SECRET) is None
    assert world.cluster.get(job) is None
    assert world.cluster.get(pod) is None
    assert world.argocd.logins == ["ok"], "the hook's"


def test_cleanup_without_a_good_key_logs_in_once(world: World) -> None:
    world.run()
    world.cluster.delete(SECRET)
    cleanup.cleanup(world.context())
    assert world.live() == []
    assert world.argocd.logins == ["ok", "ok"]


def test_cleanup_with_argocd_gone_names_the_key_and_deletes_the_secret(
    world: World, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    key = world.key()
    monkeypatch.setattr(cleanup, "_ARGOCD_SECONDS", 0.0)
    cleanup.cleanup(world.context(Plan("argocd GET /api/v1/account/NAME", "refused")))
    assert key in said.text
    assert "delete-token" in said.text
    assert world.cluster.get(SECRET) is None


def test_cleanup_leaves_a_foreign_secret(world: World) -> None:
    world.run()
    world.cluster.objects[SECRET]["metadata"]["labels"] = {}
    cleanup.cleanup(world.context())
    assert world.cluster.get(SECRET) is not None


def test_cleanup_never_fails_the_uninstall() -> None:
    assert cli.run(["cleanup"]) == 0  # outside a pod: no settings, no cluster
