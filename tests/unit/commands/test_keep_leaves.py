"""What the keeper leaves behind when it ends: no key if its namespace is being deleted, else the key in use."""

from dataclasses import replace

import pytest

from gitops_runtime_auth.service.health import Status
from tests.fakes.web import Answer, as_json
from tests.fakes.world import ACCOUNT, FAST, NAMESPACE_PATH, NO_RIGHT, ONCE, World

IDENTITY_GONE = as_json(401, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized"})


@pytest.fixture
def installed(world: World) -> World:
    world.begin_installed()
    return world


@pytest.fixture
def going(installed: World) -> World:
    """A namespace of which Kubernetes deletes one thing after the other."""
    installed.namespace_goes()
    return installed


def test_a_namespace_that_is_being_deleted_leaves_no_key(installed: World) -> None:
    """The Secret is deleted before the Pod: the watch tells, and the next check asks why."""
    keeper = installed.keeper()
    keeper.check()
    installed.namespace_goes()
    installed.remove(installed.path())
    verdict = keeper.check()
    assert verdict.status is Status.FAILED
    assert "the API keys of this release were revoked" in verdict.reason
    assert installed.live() == []
    keeper.check()
    assert len(installed.argocd.made) == 1, "nothing is made anew"


def test_a_keeper_that_ends_with_its_namespace_before_its_first_check_reads_the_secret(going: World) -> None:
    going.keeper().leave()
    assert going.live() == []


def test_a_key_that_argocd_never_answered_about_is_revoked_with_its_namespace(installed: World) -> None:
    """Argo CD was down at every check; the Secret, which this keeper has read, is deleted before the Pod."""
    keeper = installed.keeper(ONCE)
    installed.argocd.server.fault(".*", cut="before")
    assert not keeper.check().ready
    installed.argocd.server.heal()
    installed.namespace_goes()
    installed.remove(installed.path())
    keeper.leave()
    assert installed.live() == []


@pytest.mark.parametrize("answer", [NO_RIGHT, IDENTITY_GONE], ids=["the Role is another one", "the Pod is gone"])
def test_a_keeper_that_ends_without_rights_leaves_the_key_to_its_successor(installed: World, answer: Answer) -> None:
    """An upgrade with another ServiceAccount; a Pod that was deleted by force, or whose node was lost for a while."""
    keeper = installed.keeper(replace(FAST, leaving=0.05))
    keeper.check()
    installed.kubernetes.fault(".*", answer=answer)
    keeper.leave()
    assert installed.live() == [installed.key]
    assert "no API key is revoked" in keeper.log.getvalue()


def test_a_keeper_that_ends_while_kubernetes_is_down_leaves_the_key_to_its_successor(installed: World) -> None:
    keeper = installed.keeper(ONCE)
    keeper.check()
    installed.kubernetes.fault(".*", cut="before")
    keeper.leave()
    assert installed.live() == [installed.key]


def test_a_key_that_could_not_be_revoked_with_its_namespace_is_named(going: World) -> None:
    keeper = going.keeper(ONCE)
    keeper.check()
    going.argocd.server.fault(".*", cut="before")
    keeper.leave()
    assert f"delete-token --account {ACCOUNT} {going.key}" in keeper.log.getvalue()


def test_a_keeper_that_never_saw_a_key_says_how_keys_are_named(going: World) -> None:
    going.remove(going.path())
    keeper = going.keeper()
    keeper.leave()
    assert "gra.*" in keeper.log.getvalue()


def test_a_key_whose_installation_can_no_longer_be_told_is_named(going: World) -> None:
    """The rights go between two requests: whose key it is depends on the namespace's UID."""
    going.kubernetes.fault(f"GET {NAMESPACE_PATH}$", skip=1, answer=NO_RIGHT)
    keeper = going.keeper()
    keeper.leave()
    assert going.live() == [going.key]
    assert f"The API key {going.key} of account {ACCOUNT} is still" in keeper.log.getvalue()
