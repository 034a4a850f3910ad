"""One check of the keeper: the key works, or another is issued without a refused request, or the reason is reported."""

import json
import time
from dataclasses import replace

import pytest

from gitops_runtime_auth.service.health import Status
from tests.fakes import LONG
from tests.fakes.logins import Verdict
from tests.fakes.web import as_json
from tests.fakes.world import ACCOUNT, FAST, ONCE, World

CONSUMER = "deployment/runtime-sources-server"


@pytest.fixture
def installed(world: World) -> World:
    """A release that runs: the key is there, and the consumer was rolled out with it."""
    world.consumers = [CONSUMER]
    world.workload(CONSUMER)
    world.begin_installed()
    world.roll_out()
    return world


def writes(world: World) -> list[str]:
    """Every request that changes something in Kubernetes, Events apart."""
    return [
        str(r) for r in world.kubernetes.server.asked("^(POST|PUT|PATCH|DELETE) ") if not r.path.endswith("/events")
    ]


def test_a_good_key_is_left_alone_without_a_login(installed: World) -> None:
    before = writes(installed)
    keeper = installed.keeper()
    for _ in range(3):
        verdict = keeper.check()
        assert (verdict.ready, verdict.reason) == (True, f"Argo CD accepts the API key of account {ACCOUNT}.")
    assert writes(installed) == before
    assert installed.argocd.logins.verdicts() == [Verdict.OK], "the hook's"
    assert installed.restarted(CONSUMER) == ""


@pytest.mark.parametrize("keys", [0, 2000])
def test_a_check_costs_the_same_however_many_keys_the_account_has(installed: World, keys: int) -> None:
    for n in range(keys):
        installed.argocd.make_key(ACCOUNT, f"somebody-elses-{n}", age=3600)
    keeper = installed.keeper()
    keeper.check()
    before = len(installed.argocd.server.log)
    keeper.check()
    assert len(installed.argocd.server.log) - before == 1


def test_a_revoked_key_is_replaced_by_one_login_and_consumers_restart(installed: World) -> None:
    installed.argocd.revoke(ACCOUNT)
    assert installed.keeper().check().ready
    assert installed.live() == [installed.key]
    assert installed.argocd.logins.verdicts() == [Verdict.OK] * 2
    assert installed.restarted(CONSUMER) == installed.key
    assert installed.argocd.live_sessions() == []
    assert "ApiKeyRegenerated" in installed.reasons()


def test_a_deleted_secret_is_made_anew_without_a_login(installed: World) -> None:
    """The key that was in it still works and issues its successor; it is revoked when the Pods run with that."""
    keeper = installed.keeper()
    keeper.check()
    old = installed.key
    installed.hold_rollouts()
    installed.remove(installed.path())
    verdict = keeper.check()
    assert verdict.ready
    assert installed.key not in ("", old)
    assert sorted(installed.live()) == sorted([old, installed.key]), "pods still use the old one"
    installed.roll_out()
    keeper.check()
    keeper.check()
    assert installed.live() == [installed.key]
    assert installed.argocd.logins.verdicts() == [Verdict.OK], "the hook's"


@pytest.mark.parametrize(
    "data", [{}, {"token": ""}, {"token": "\xff junk"}, {"token": "a.b.c", "state": "{}"}, {"state": "{"}]
)
def test_a_damaged_secret_is_made_anew_without_a_login(installed: World, data: dict[str, str]) -> None:
    keeper = installed.keeper()
    keeper.check()
    installed.edit_secret(data)
    assert keeper.check().ready
    installed.roll_out()
    keeper.check()
    assert installed.live() == [installed.key]
    assert installed.argocd.accepts(installed.token)
    assert installed.argocd.logins.verdicts() == [Verdict.OK]


def test_a_new_keeper_that_finds_no_secret_logs_in_once(installed: World) -> None:
    installed.remove(installed.path())
    assert installed.keeper().check().ready
    assert installed.live() == [installed.key]
    assert installed.restarted(CONSUMER) == installed.key


def test_a_restart_that_was_lost_is_done_by_the_next_keeper(installed: World) -> None:
    """The first one ended with the new key stored and the consumers as they were."""
    installed.roll_out(later=-60)
    installed.argocd.revoke(ACCOUNT)
    fault = installed.kubernetes.fault("PATCH ", cut="before")
    installed.keeper(ONCE).check()
    assert fault.met
    installed.kubernetes.server.heal()
    assert installed.restarted(CONSUMER) == ""
    assert installed.keeper().check().ready
    assert installed.restarted(CONSUMER) == installed.key


def test_without_restarts_nothing_is_restarted(installed: World) -> None:
    installed.set("keeper.restartConsumers", False)
    installed.argocd.revoke(ACCOUNT)
    keeper = installed.keeper()
    keeper.check()
    keeper.check()
    assert installed.restarted(CONSUMER) == ""


def test_a_keeper_never_deletes_a_secret(installed: World) -> None:
    """``create``, ``get`` and ``delete`` together would let its ServiceAccount mint any other's token."""
    keeper = installed.keeper()
    keeper.check()
    installed.argocd.revoke(ACCOUNT)
    keeper.check()
    installed.remove(installed.path())
    keeper.check()
    assert installed.kubernetes.server.asked("DELETE ") == []


# Age


@pytest.mark.parametrize(("max_age", "seconds"), [("90s", 90), ("3m", 180), ("2h", 7200), ("30d", 2592000)])
def test_an_old_key_is_rotated_without_a_login(installed: World, max_age: str, seconds: int) -> None:
    installed.set("keeper.maxAge", max_age)
    keeper, old = installed.keeper(), installed.key
    [listed] = installed.argocd.accounts.secret[ACCOUNT].keys
    listed.issued_at = int(time.time()) - seconds + 20
    assert keeper.check().ready
    assert installed.key == old, "not yet"
    listed.issued_at -= 40
    assert keeper.check().ready
    assert installed.key != old
    assert installed.argocd.logins.verdicts() == [Verdict.OK]
    assert installed.restarted(CONSUMER) == installed.key


@pytest.mark.parametrize("max_age", ["", None])
def test_without_a_limit_no_age_is_too_old(installed: World, max_age: str | None) -> None:
    if max_age is not None:
        installed.set("keeper.maxAge", max_age)
    old = installed.key
    installed.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 10**8
    assert installed.keeper().check().ready
    assert installed.key == old


def test_a_key_that_argocd_gave_an_end_is_renewed_in_time_by_itself(world: World) -> None:
    world.argocd.keys_expire_after = 43200
    world.install()
    keeper, old = world.keeper(), world.key
    world.argocd.ahead = 43200 * 0.6
    assert keeper.check().ready
    assert world.key == old, "two thirds of its life have not passed"
    world.argocd.ahead = 43200 * 0.7
    assert keeper.check().ready
    assert world.key != old
    assert world.argocd.logins.verdicts() == [Verdict.OK]


def test_a_rotation_whose_answer_was_lost_keeps_the_key_that_it_stored(installed: World) -> None:
    installed.set("keeper.maxAge", "60s")
    keeper = installed.keeper()
    installed.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 100
    fault = installed.kubernetes.fault("PUT .*/secrets/argocd-token$", times=1, cut="after")
    assert keeper.check().ready
    assert fault.met
    installed.roll_out()
    keeper.check()
    assert installed.live() == [installed.key]


def test_a_rotation_that_somebody_is_faster_with_leaves_the_key_as_it_is(installed: World) -> None:
    installed.set("keeper.maxAge", "60s")
    keeper, old = installed.keeper(), installed.key
    installed.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 100
    installed.write_before()
    assert keeper.check().ready
    assert installed.live() == [installed.key] == [old]
    assert keeper.check().ready
    assert installed.key != old, "at the next check"


# What was replaced


@pytest.mark.parametrize("raced", [False, True], ids=["", "somebody writes the Secret meanwhile"])
def test_a_key_of_this_cluster_is_found_behind_one_of_another(installed: World, raced: bool) -> None:
    """The Secret was copied to another cluster, where the keeper replaced the key, and was copied back afterwards."""
    own, secret = installed.key, installed.secret()
    state = json.loads(secret["state"])
    replaced = {"token": secret["token"]} | {name: state[name] for name in ("account", "url", "ca", "insecure")}
    foreign = installed.argocd.make_key(ACCOUNT, "gra.ffffffffffff.runtime-ns.runtime.20260101t000000z-0123456789ab")
    installed.edit_secret({"token": foreign, "state": json.dumps({**state, "previous": [replaced]})})
    if raced:
        installed.write_before()
    reads = len(installed.kubernetes.server.asked("GET .*/argocd-token$"))
    assert installed.keeper().check().ready
    assert installed.key == own
    assert len(installed.argocd.logins.seen) == 1, "the one of the install"
    looks = len(installed.kubernetes.server.asked("GET .*/argocd-token$")) - reads
    assert (looks == 1) is not raced, "it looks again only if somebody was faster"


@pytest.mark.parametrize("grace", [180, 600])
def test_a_replaced_key_lives_for_the_grace_period_at_least(installed: World, grace: int) -> None:
    """Mounted files have the new key within two minutes; Pods that nobody named get it in no other way."""
    installed.set("keeper.gracePeriod", grace)
    installed.set("keeper.maxAge", "60s")
    keeper, old = installed.keeper(), installed.key
    installed.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 100
    assert keeper.check().again_soon
    installed.roll_out()
    installed.argocd.ahead = grace - 10
    keeper.check()
    assert old in installed.live()
    installed.argocd.ahead = grace + 10
    keeper.check()
    assert old not in installed.live()


def test_every_replacement_has_its_own_time(installed: World) -> None:
    installed.set("keeper.gracePeriod", 180)
    keeper = installed.keeper()
    keeper.check()
    installed.remove(installed.path())
    keeper.check()
    installed.roll_out()
    installed.argocd.ahead = 180 - LONG
    second = installed.key
    installed.remove(installed.path())
    keeper.check()
    installed.roll_out()
    installed.argocd.ahead = 190
    keeper.check()
    assert second in installed.live(), "pods may have taken it a few seconds ago"


def test_a_rollout_that_is_not_finished_holds_the_replaced_key(installed: World) -> None:
    keeper = installed.keeper()
    keeper.check()
    old = installed.key
    installed.hold_rollouts()
    installed.remove(installed.path())
    keeper.check()
    installed.status_of(CONSUMER, replicas=1, updatedReplicas=1, availableReplicas=0)
    assert keeper.check().again_soon
    assert old in installed.live()
    installed.roll_out()
    assert not keeper.check().again_soon
    assert installed.live() == [installed.key]


def test_what_an_upgrade_replaced_is_left_to_its_hook_first(installed: World) -> None:
    """The hook waits for the release's own rollout, which the keeper knows nothing of. It may never have run."""
    old = installed.key
    installed.argocd.account("second")
    installed.use("second")
    installed.upgrade()
    installed.roll_out()
    keeper = installed.keeper()
    assert keeper.check().ready
    assert installed.argocd.live_keys(ACCOUNT) == [old]
    installed.argocd.ahead = 20 + 60 + 10
    keeper.check()
    assert installed.argocd.live_keys(ACCOUNT) == []


def test_a_server_that_is_gone_does_not_stop_the_keeper(installed: World) -> None:
    installed.move_to(installed.other)
    installed.upgrade()
    installed.argocd.server.go_down()
    installed.set("keeper.maxAge", "60s")
    installed.roll_out()
    keeper = installed.keeper()
    installed.other.ahead = 200
    assert keeper.check().ready
    assert len(installed.other.live_keys()) >= 1
    assert installed.other.accepts(installed.token)


def test_a_key_of_a_server_that_is_gone_is_named_and_tried_again_in_an_hour(installed: World) -> None:
    old = installed.key
    installed.move_to(installed.other)
    installed.upgrade()
    installed.roll_out()
    keeper = installed.keeper(ONCE)
    before = len(installed.argocd.server.log)
    installed.argocd.server.fault(".*", cut="before")
    installed.other.ahead = 200
    assert keeper.check().ready
    tried = len(installed.argocd.server.log)
    assert tried > before
    assert f"argocd account delete-token --account {ACCOUNT} {old}" in keeper.log.getvalue()
    installed.other.ahead = 3700
    assert keeper.check().ready
    assert len(installed.argocd.server.log) == tried
    installed.argocd.server.heal()
    installed.other.ahead = 3900
    assert keeper.check().ready
    assert installed.argocd.live_keys() == []
    assert installed.live() == [installed.key]


def test_a_key_that_a_crash_left_goes(installed: World) -> None:
    installed.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 1000
    left = installed.own_key()
    installed.argocd.make_key(ACCOUNT, left, age=500)
    installed.keeper().check()
    assert left not in installed.live()


def test_a_key_in_the_making_stays(installed: World) -> None:
    left = installed.own_key()
    installed.argocd.make_key(ACCOUNT, left)
    installed.keeper().check()
    assert left in installed.live()


# More than one keeper


def test_of_two_keepers_that_see_a_revoked_key_one_key_remains(installed: World) -> None:
    one, other = installed.keeper(), installed.keeper()
    one.check()
    other.check()
    installed.argocd.revoke(ACCOUNT)
    for keeper in (one, other, one, other):
        assert keeper.check().ready
    installed.roll_out()
    one.check()
    assert installed.live() == [installed.key]
    assert len(installed.argocd.logins.seen) == 2


def test_an_old_keeper_stands_by_for_an_upgrade_and_is_not_ready(installed: World) -> None:
    old = installed.keeper()
    old.check()
    installed.argocd.ahead = 5
    installed.argocd.account("second")
    installed.use("second")
    installed.upgrade()
    before = installed.find(installed.path())
    verdict = old.check()
    assert verdict.status is Status.STANDING_BY
    assert verdict.reason == "An upgrade has changed account or server; its own keeper takes over."
    assert installed.find(installed.path()) == before
    assert installed.keeper().check().ready, "the upgrade's own"


def test_standing_by_ends(installed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The upgrade's keeper never came: it was rolled back without hooks, to the settings of this one."""
    old = installed.keeper()
    old.check()
    installed.argocd.ahead = 5
    installed.argocd.account("second")
    installed.use("second")
    installed.upgrade()
    old.check()
    ten_minutes_later = time.time() + 700
    monkeypatch.setattr(time, "time", lambda: ten_minutes_later)
    assert old.check().ready
    assert installed.key in installed.argocd.live_keys(ACCOUNT)


def test_a_keeper_that_starts_later_does_not_stand_by(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """``helm rollback --no-hooks`` after an upgrade to another account: the settings are newer than the Secret."""
    world.begin_installed()
    world.argocd.account("second")
    world.use("second")
    world.upgrade()
    world.use(ACCOUNT)
    later = time.time() + 10
    monkeypatch.setattr(time, "time", lambda: later)
    assert world.keeper().check().ready
    assert world.key in world.argocd.live_keys(ACCOUNT)


# Trouble


def test_kubernetes_down_is_no_reason_to_be_unready_while_the_key_works(installed: World) -> None:
    keeper = installed.keeper(ONCE)
    keeper.check()
    installed.kubernetes.fault(".*", cut="before")
    verdict = keeper.check()
    assert verdict.ready
    assert verdict.reason == f"Argo CD accepts the API key of account {ACCOUNT}; Kubernetes does not answer."


def test_with_kubernetes_down_a_refused_key_is_not_ready(installed: World) -> None:
    keeper = installed.keeper(ONCE)
    keeper.check()
    installed.kubernetes.fault(".*", cut="before")
    installed.argocd.revoke(ACCOUNT)
    verdict = keeper.check()
    assert verdict.status is Status.REFUSED
    assert verdict.again_soon, "once Kubernetes is back, a key is issued at once"
    assert len(installed.argocd.logins.seen) == 1


def test_an_outage_of_argocd_is_no_reason_for_a_new_key(installed: World) -> None:
    keeper, old = installed.keeper(ONCE), installed.key
    installed.argocd.server.fault(".*", cut="before")
    assert not keeper.check().ready
    installed.argocd.server.heal()
    assert keeper.check().ready
    assert installed.live() == [installed.key] == [old]


@pytest.mark.parametrize("enable", [False, True], ids=["", "enableApiKey"])
@pytest.mark.parametrize("trouble", ["disabled", "vanished"])
def test_an_account_that_may_come_back_costs_no_login_and_keeps_its_key(
    installed: World, trouble: str, enable: bool
) -> None:
    installed.set("hook.enableApiKey", enable)
    keeper, old = installed.keeper(), installed.key
    if trouble == "disabled":
        installed.argocd.accounts.enable(ACCOUNT, False)
    else:
        installed.argocd.accounts.vanish(ACCOUNT)
    for _ in range(3):
        assert not keeper.check().ready
    assert len(installed.argocd.logins.seen) == 1
    installed.argocd.account(ACCOUNT)
    installed.argocd.accounts.enable(ACCOUNT)
    assert keeper.check().ready
    assert installed.live() == [installed.key] == [old]


def test_a_gateways_401_is_no_reason_for_a_new_key(installed: World) -> None:

    keeper, old = installed.keeper(), installed.key
    installed.argocd.server.fault("/account/", answer=as_json(401, {"message": "please sign in"}))
    assert not keeper.check().ready
    installed.argocd.server.heal()
    assert keeper.check().ready
    assert installed.key == old
    assert len(installed.argocd.logins.seen) == 1


def test_a_routine_check_is_one_question_to_kubernetes(installed: World) -> None:
    keeper = installed.keeper()
    keeper.check()
    before = len(installed.kubernetes.server.log)
    keeper.check()
    assert [str(r) for r in installed.kubernetes.server.log[before:]] == [f"GET {installed.path()}"]


def test_a_copied_secret_of_another_cluster_is_none_of_this_one(installed: World) -> None:
    """A golden image: the Secret came along, and its key belongs to the cluster that it was copied from."""
    copied = "gra.ffffffffffff.runtime-ns.runtime.20260101t000000z-0123456789ab"
    token = installed.argocd.make_key(ACCOUNT, copied)
    installed.argocd.revoke(ACCOUNT, installed.key)
    installed.edit_secret({**installed.secret(), "token": token})
    assert installed.keeper().check().ready
    assert installed.token != token
    assert copied in installed.argocd.live_keys(ACCOUNT), "the other cluster's pods use it"


def test_a_key_that_an_upgrade_replaced_is_taken_back_into_use(installed: World) -> None:
    """The upgrade was rolled back without hooks, and its account is disabled by now: the former key still works."""
    first = installed.key
    installed.argocd.account("second")
    installed.use("second")
    installed.upgrade()
    installed.use(ACCOUNT)
    keeper = installed.keeper(replace(FAST, stand_by=-60.0))
    assert keeper.check().ready
    assert installed.key == first
    assert len(installed.argocd.logins.seen) == 2, "the hooks'"


def test_a_write_of_somebody_else_in_between_is_looked_at_again(installed: World) -> None:
    keeper = installed.keeper()
    keeper.check()
    installed.set("keeper.maxAge", "60s")
    installed.argocd.revoke(ACCOUNT)
    installed.write_before()
    assert keeper.check().ready
    assert installed.live() == [installed.key]
