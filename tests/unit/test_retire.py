"""``retire`` and ``cleanup`` end keys where they were made, and never fail what they serve."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from gitops_runtime_auth import cli, log
from gitops_runtime_auth.commands import cleanup
from gitops_runtime_auth.commands import retire as command
from gitops_runtime_auth.commands.retire import retire
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.keys import handover
from gitops_runtime_auth.kube import rollout
from gitops_runtime_auth.kube import secret as store
from tests.unit.fakes.argocd import FakeAccount
from tests.unit.fakes.deployments import deployment
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


CONSUMER = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/c"


def consumer(world: World, *, done: bool, rolled_out: float = 9e9) -> Context:
    world.cluster.objects[CONSUMER] = deployment("c", rolled_out, done=done)
    return replace(world.context(), consumers=("c",))


def restarted_for(world: World) -> str:
    template = world.cluster.objects[CONSUMER]["spec"]["template"]
    return str(template.get("metadata", {}).get("annotations", {}).get(rollout.ANNOTATION, ""))


def test_the_replaced_key_is_revoked_once_the_rollout_is_done(moved: World) -> None:
    assert "revoked" in retire(consumer(moved, done=True))
    assert moved.live() == [moved.key()]
    assert store.content(moved.cluster.get(SECRET), "runtime").previous == ()


def test_a_deployment_that_the_upgrade_left_alone_is_restarted_for_a_new_key(world: World) -> None:
    """With the vendor's app-proxy there is no keeper to do it."""
    world.run()
    world.argocd.accounts["admin"].keys.clear()
    world.run()
    context = consumer(world, done=True, rolled_out=time.time() - 60)
    assert "revoked" in retire(context)
    assert restarted_for(world) == world.key()
    assert store.content(world.cluster.get(SECRET), "runtime").previous == ()


def test_a_deployment_that_the_upgrade_rolled_out_is_not_restarted(world: World) -> None:
    world.run()
    assert "no API key" in retire(consumer(world, done=True, rolled_out=time.time() + 1))
    assert restarted_for(world) == ""


def test_a_deployment_that_can_not_come_up_holds_up_no_upgrade_that_replaced_nothing(world: World) -> None:
    """The key is new, from the install an hour ago at most; a vendor's image is broken and being mended."""
    world.run()
    context = consumer(world, done=False, rolled_out=time.time() + 1)
    began = time.monotonic()
    assert "no API key" in retire(context)
    assert time.monotonic() - began < 1
    world.cluster.objects[CONSUMER] = deployment("c", time.time() - 60)
    world.cluster.objects[CONSUMER]["metadata"]["generation"] = 2  # Helm has just changed it
    retire(context)
    assert restarted_for(world) == ""


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


def test_what_is_younger_than_a_replaced_key_stays_with_it(world: World) -> None:
    """Another run may just be storing it; this one's view of the Secret may be old."""
    world.run()
    stored = store.content(world.cluster.get(SECRET), "runtime")
    assert stored.current is not None
    keys = world.argocd.accounts["admin"].keys
    young, old = world.owner.new_id(), world.owner.new_id()
    keys |= {young: keys[world.key()] + 5, old: keys[world.key()] - 5}
    assert handover.revoke(world.context(), stored.current, keep="another") is None
    assert world.live() == [young]


def test_a_401_of_somebody_else_does_not_count_as_revoked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run()
    current = store.content(world.cluster.get(SECRET), "runtime").current
    assert current is not None
    sso = httpx.Response(401, json={"message": "please sign in"})
    monkeypatch.setattr(world.argocd, "answer", lambda _: sso)
    assert "delete-token" in (handover.revoke(world.context(), current) or "")


def test_cleanup_by_a_replaced_key_does_not_log_in_for_the_present_one(moved: World) -> None:
    current = store.content(moved.cluster.get(SECRET), "runtime").current
    assert current is not None
    stored = store.content(moved.cluster.get(SECRET), "runtime")
    alias = replace(current, url="https://argocd-server.argocd.svc")
    store.write(moved.cluster, NAMESPACE, "runtime", "c", replace(stored, previous=(*stored.previous, alias)))
    cleanup.cleanup(moved.context())
    assert moved.live() == []
    assert moved.argocd.logins == ["ok", "ok"], "the hook's two"


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


def test_cleanup_does_not_send_a_password_that_the_install_was_refused_with(world: World) -> None:
    """The Job that a failed install leaves behind says so."""
    world.give("wrong")
    said = "Container ensure for pod ns/p failed with exit code 77 matching FailJob rule at index 1"
    status = {"conditions": [{"type": "Failed", "reason": "PodFailurePolicy", "message": said}]}
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/j"
    world.cluster.objects[path] = {"metadata": {"resourceVersion": "1"}, "status": status}
    cleanup.cleanup(world.context(), "j")
    assert world.argocd.logins == []
    assert world.cluster.get(path) is None


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
