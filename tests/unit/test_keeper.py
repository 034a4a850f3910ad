"""One check of the key keeper, against an Argo CD and a cluster that behave as the real ones."""

import base64
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jwt
import pytest

from gitops_runtime_auth import retry
from gitops_runtime_auth.commands import keep
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.errors import (
    ConfigurationError,
    KeyRefusedError,
    LoginRefusedError,
    LoginUnansweredError,
    PrivilegeError,
    UnreachableError,
)
from gitops_runtime_auth.kube import rollout
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service import health as probes
from gitops_runtime_auth.service import keeper
from gitops_runtime_auth.service.keeper import Keeper
from gitops_runtime_auth.service.lockout import Refusals
from tests.unit.fakes import deployments as fakes
from tests.unit.fakes.faults import Plan
from tests.unit.fakes.world import NAMESPACE, SECRET, World

CONSUMERS = ("runtime-event-reporter", "runtime-sources-server")
Make = Callable[..., Keeper]


def deployment(name: str) -> str:
    return f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"


@pytest.fixture
def make(world: World, tmp_path: Path) -> Make:
    for name in CONSUMERS:
        world.cluster.objects[deployment(name)] = fakes.deployment(name)

    def made(plan: Plan | None = None, **settings: object) -> Keeper:
        def fresh(seconds: float) -> Context:
            context = world.context(plan)
            changed = replace(context.settings, **settings)  # type: ignore[arg-type]
            return replace(context, settings=changed, consumers=CONSUMERS)

        return Keeper(fresh, Refusals(world.context().settings, tmp_path / "refused"))

    return made


def restarts(world: World) -> set[str]:
    found = [world.cluster.objects[deployment(n)]["spec"]["template"] for n in CONSUMERS]
    return {t.get("metadata", {}).get("annotations", {}).get(rollout.ANNOTATION, "") for t in found}


def installed(world: World) -> None:
    """Run the install hook, then let the Deployments come up."""
    world.run()
    for name in CONSUMERS:
        world.cluster.objects[deployment(name)] = fakes.deployment(name, time.time())


def test_a_good_key_is_left_alone_without_a_login(world: World, make: Make) -> None:
    installed(world)
    verdict = make().check()
    assert verdict.ready
    assert world.argocd.logins == ["ok"], "the hook's"
    assert restarts(world) == {""}


@pytest.mark.parametrize(("longer", "left"), [(-30, 1), (2, 0)])
def test_a_key_that_nobody_stored_goes_once_no_run_can_be_about_to(
    world: World, make: Make, longer: int, left: int
) -> None:
    """One that is no older than the good key, until ``hook.timeout`` and a minute have passed."""
    installed(world)
    listed, orphan = world.argocd.accounts["admin"].keys, world.owner.new_id()
    listed[world.key()] = listed[orphan] = int(time.time() - world.seconds) - 60 - longer
    assert make().check().ready
    assert world.live().count(orphan) == left
    assert world.key() in world.live()


def test_a_revoked_key_is_replaced_by_one_login_and_consumers_restart(world: World, make: Make) -> None:
    world.run()
    world.argocd.accounts["admin"].keys.clear()
    kept = make()
    assert kept.check().ready
    assert world.live() == [world.key()]
    assert world.argocd.logins == ["ok", "ok"]
    assert restarts(world) == {world.key()}
    assert world.argocd.live_sessions() == []


def test_consumers_restart_even_where_nothing_tells_of_the_old_key(world: World, make: Make) -> None:
    installed(world)
    world.cluster.delete(SECRET)
    assert make().check().ready
    assert restarts(world) == {world.key()}
    assert world.live() == [world.key()]


def test_a_restart_that_was_lost_is_done_by_the_next_keeper(
    world: World, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(world)
    world.cluster.delete(SECRET)
    world.argocd.accounts["admin"].keys.clear()
    with monkeypatch.context() as patch:
        patch.setattr(rollout, "restart", lambda *_: 1 / 0)  # dies with the new key stored
        with pytest.raises(ZeroDivisionError):
            make().check()
    assert restarts(world) == {""}
    kept = make()
    assert kept.check().ready
    assert restarts(world) == {world.key()}


def test_logins_without_a_verdict_wait_until_argocd_has_forgotten_them(
    world: World, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that loses the answers must not make the keeper lock the account: five refusals do."""
    world.give("wrong")
    monkeypatch.setattr(retry, "_FIRST_WAIT", 0.01)

    class Loses(Plan):
        def comes(self, step: str) -> str:
            return "lost" if step == "argocd POST /api/v1/session" else ""

    kept = make(Loses())
    for _ in range(3):
        with pytest.raises(LoginUnansweredError):
            kept.check()
    assert world.argocd.logins == ["refused"] * 3
    monkeypatch.setattr(keeper, "_LOCKOUT", 0.0)
    kept._no_login_before = 0.0
    with pytest.raises(LoginUnansweredError):
        kept.check()
    assert len(world.argocd.logins) == 6


def test_a_rotation_whose_answer_was_lost_keeps_the_key_it_stored(world: World, make: Make) -> None:
    installed(world)
    old = world.key()
    world.argocd.accounts["admin"].keys[old] -= 100
    plan = Plan(f"kubernetes PUT /secrets/{store.NAME}", "lost")
    assert make(plan, max_age=50.0).check().ready
    assert plan.hit
    assert world.key() != old
    assert world.live() == [world.key()]


def test_a_key_of_a_server_that_is_gone_does_not_stop_rotation(world: World, make: Make) -> None:
    installed(world)
    entry = store.content(world.cluster.get(SECRET), "runtime").current
    assert entry is not None
    stored = store.content(world.cluster.get(SECRET), "runtime")
    gone = replace(entry, url="https://gone", token=jwt.encode({"jti": world.owner.new_id()}, "x" * 32))
    store.write(world.cluster, NAMESPACE, "runtime", "c", replace(stored, previous=(gone,)))
    world.argocd.accounts["admin"].keys[entry.key_id()] -= 100
    make(max_age=50.0).check()
    assert world.key() != entry.key_id()


@pytest.mark.parametrize("kept", ["with-state", "alone"])
def test_what_somebody_wrote_into_the_secret_is_dropped_and_never_sent_anywhere(
    world: World, make: Make, kept: str
) -> None:
    world.run()
    data = world.cluster.objects[SECRET]["data"]
    data["token"] = base64.b64encode("schlüssel".encode()).decode()
    if kept == "alone":
        del data["state"]
    assert not make().check().again_soon
    assert store.content(world.cluster.get(SECRET), "runtime").previous == ()


@pytest.mark.parametrize("damage", ["delete", "empty", "edit", "edit-token"])
def test_a_damaged_secret_is_made_anew_by_the_old_key_which_lives_until_the_pods_follow(
    world: World, make: Make, damage: str
) -> None:
    world.run()
    kept = make()
    kept.check()
    old = world.key()
    if damage == "delete":
        world.cluster.delete(SECRET)
    elif damage == "edit-token":
        world.cluster.objects[SECRET]["data"]["token"] = base64.b64encode("schlüssel".encode()).decode()
    else:
        junk = {} if damage == "empty" else {"token": base64.b64encode(b"\xffjunk").decode()}
        world.cluster.objects[SECRET]["data"] = junk
    path = deployment(CONSUMERS[0])
    world.cluster.objects[path]["status"]["observedGeneration"] = 0
    assert kept.check().again_soon
    assert world.key() not in ("", old)
    assert sorted(world.live()) == sorted([old, world.key()])
    world.cluster.objects[path]["status"]["observedGeneration"] = 1
    assert not kept.check().again_soon
    assert store.content(world.cluster.get(SECRET), "runtime").previous == ()
    assert world.live() == [world.key()]
    assert world.argocd.logins == ["ok"], "no login where a good key can vouch"


def test_a_refused_password_is_sent_once_even_after_a_restart(world: World, make: Make, tmp_path: Path) -> None:
    world.give("wrong")
    first = make()
    for _ in range(3):
        with pytest.raises(LoginRefusedError):
            first.check()
    with pytest.raises(LoginRefusedError, match="not sent again"):
        make().check()
    assert world.argocd.logins == ["refused"]
    assert b"wrong" not in (tmp_path / "refused").read_bytes()
    world.give("s3cret-canary-password")
    assert make().check().ready


def test_an_outage_is_no_reason_to_regenerate(world: World, make: Make) -> None:
    world.run()
    old = world.key()
    plan = Plan("argocd GET /api/v1/account/NAME", "refused", 1)
    with pytest.raises(UnreachableError):
        _once(make(plan))
    assert (world.key(), world.live()) == (old, [old])


def _once(kept: Keeper) -> None:
    """One request, no retry: the deadline has passed."""
    fresh = kept._fresh
    kept._fresh = lambda _: replace(fresh(0), deadline=keeper_deadline())
    kept.check()


def keeper_deadline() -> Deadline:
    return Deadline(0)


def test_a_disabled_account_costs_no_login_and_keeps_its_key(world: World, make: Make) -> None:
    world.run()
    plan = Plan()
    kept, old = make(plan), world.key()
    world.argocd.accounts["admin"].enabled = False
    for _ in range(3):
        with pytest.raises(PrivilegeError, match="disabled"):
            kept.check()
    world.argocd.accounts["admin"].enabled = True
    assert kept.check().ready
    assert world.key() == old
    assert plan.seen["argocd POST /api/v1/session"] == 0


def test_an_old_key_is_rotated_without_a_login(world: World, make: Make) -> None:
    world.run()
    old = world.key()
    world.argocd.accounts["admin"].keys[old] -= 100
    kept = make(max_age=50.0)
    assert kept.check().ready
    assert world.key() != old
    assert world.live() == [world.key()]
    assert world.argocd.logins == ["ok"]


def test_without_restarts_the_old_key_lives_until_the_mounts_have_followed(
    world: World, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    old = world.key()
    world.argocd.accounts["admin"].keys[old] -= 100
    kept = make(max_age=50.0, restart_consumers=False)
    assert kept.check().again_soon
    assert old in world.live()
    assert restarts(world) == {""}
    monkeypatch.setattr(keeper, "_MOUNT_FOLLOWS", 0.0)
    kept.check()
    assert world.live() == [world.key()]


def test_without_restarts_every_replacement_has_its_own_time_to_follow(
    world: World, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    world.run()
    kept = make(restart_consumers=False)
    kept.check()
    world.cluster.delete(SECRET)
    kept.check()
    now[0] += keeper._MOUNT_FOLLOWS - 5
    world.cluster.delete(SECRET)
    second = [k for k in world.live() if k not in (world.key(),)][-1:]
    kept.check()
    now[0] += 10
    kept.check()
    assert set(second) <= set(world.live()), "pods may still hold the key that lived for 15 seconds"


def test_of_two_keepers_that_see_a_deleted_secret_one_key_remains(world: World, make: Make) -> None:
    world.run()
    one, other = make(), make()
    one.check()
    other.check()
    world.cluster.delete(SECRET)
    one.check()
    other.check()
    one.check()
    assert world.live() == [world.key()]


def test_an_old_keeper_stands_by_once_an_upgrade_moved_on(world: World, make: Make) -> None:
    world.run()
    kept = make()
    kept.check()
    entry = store.content(world.cluster.get(SECRET), "runtime").current
    assert entry is not None
    stored = store.content(world.cluster.get(SECRET), "runtime").moved_to(replace(entry, account="b", token="t"), True)
    store.write(world.cluster, NAMESPACE, "runtime", "c", stored)
    before = world.cluster.get(SECRET)
    assert "stands by" in kept.check().reason
    assert world.cluster.get(SECRET) == before


def test_kubernetes_down_is_no_reason_to_be_unready(world: World, make: Make) -> None:
    world.run()
    plan = Plan(f"kubernetes GET /secrets/{store.NAME}", "refused", 2)
    kept = make(plan)
    kept.check()
    verdict = kept.check()
    assert verdict.ready
    assert "Kubernetes does not answer" in verdict.reason


def test_type_token_only_tells(world: World) -> None:
    world.run()
    world.auth_type = "token"
    world.give("no token")
    with pytest.raises(ConfigurationError):
        keep.check_token(lambda _: world.context())
    world.give(world.argocd.made[0])
    assert keep.check_token(lambda _: world.context()).ready
    world.argocd.accounts["admin"].keys.clear()
    with pytest.raises(KeyRefusedError, match="revoked"):
        keep.check_token(lambda _: world.context())


def test_an_event_for_each_change_of_state_and_no_more(world: World) -> None:
    verdicts = iter([True, True, False, False, True])
    loop = keep.Loop(lambda _: world.context(), lambda: keeper.Verdict(next(verdicts), "why", "do"), probes.Health(9))
    for _ in range(5):
        loop.turn()
    written = [o["reason"] for path, o in world.cluster.objects.items() if "/events/" in path]
    assert written == ["AuthenticationFailed", "AuthenticationWorks"]
