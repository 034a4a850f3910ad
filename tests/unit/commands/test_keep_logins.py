"""The keeper's logins, which nobody watches: a refused password is not sent again, and nothing storms."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from gitops_runtime_auth.argocd.http import Answer, Transport
from gitops_runtime_auth.service.health import Status
from gitops_runtime_auth.timing import Timing
from tests.fakes.keeper import metric
from tests.fakes.logins import LOCKS_AFTER, Verdict
from tests.fakes.web import as_text
from tests.fakes.world import ACCOUNT, FAST, NAMESPACE, NO_RIGHT, ONCE, PASSWORD, REFUSED, World

LOGIN = "POST .*/api/v1/session$"
RECORD = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{REFUSED}"
CONSUMER = "deployment/runtime-sources-server"


@pytest.fixture
def lost(world: World) -> World:
    """The key is revoked, and the password in the user's Secret is wrong by now."""
    world.begin_installed()
    world.argocd.revoke(ACCOUNT)
    world.give("wrong")
    return world


@pytest.fixture
def consumed(world: World) -> World:
    """An installed release with one consumer of the key."""
    world.consumers = [CONSUMER]
    world.workload(CONSUMER)
    world.begin_installed()
    return world


def failures(world: World) -> int:
    return world.argocd.logins.failures_in_a_window(ACCOUNT)


def test_a_refused_password_is_sent_once_whoever_looks_and_however_often(lost: World) -> None:
    """Two keepers, a restarted one, and an installer that retries."""
    one, other = lost.keeper(), lost.keeper()
    for keeper in (one, other, one, other, lost.keeper()):
        assert not keeper.check().ready
    for _ in range(3):
        assert lost.upgrade().code == 77
    assert lost.argocd.logins.verdicts() == [Verdict.OK, Verdict.WRONG]


def test_the_keeper_waits_twice_as_long_after_each_further_refusal(lost: World) -> None:
    keeper, sent = lost.keeper(), []
    for seconds in range(0, 3 * 3600, 300):
        lost.argocd.ahead = seconds
        before = len(lost.argocd.logins.seen)
        keeper.check()
        if len(lost.argocd.logins.seen) > before:
            sent.append(seconds)
    assert failures(lost) == 1
    pauses = [b - a for a, b in pairwise(sent)]
    assert pauses == sorted(pauses)
    assert pauses[0] >= 330
    assert 2640 <= max(pauses) <= 3900, "an hour at most"


@pytest.mark.parametrize("step", [f"PUT {RECORD}$", "POST .*/configmaps$"], ids=["replaced", "created"])
def test_a_login_is_not_put_off_because_the_answer_to_its_record_was_lost(world: World, step: str) -> None:
    world.begin_installed()
    world.argocd.revoke(ACCOUNT)
    if step.startswith("POST"):
        world.remove(RECORD)
    fault = world.kubernetes.fault(step, times=1, cut="after")
    assert world.keeper().check().ready
    assert fault.met > 1, "it was sent again"
    assert world.argocd.logins.verdicts() == [Verdict.OK, Verdict.OK]


def test_the_right_password_is_noticed_at_once(lost: World) -> None:
    keeper = lost.keeper()
    keeper.check()
    keeper.give(PASSWORD)
    assert keeper.check().ready
    assert lost.live() == [lost.key]
    assert lost.record() == ""


@pytest.mark.parametrize("minutes", [1, 5])
def test_answers_that_are_lost_never_lock_the_account(lost: World, minutes: int) -> None:
    """The verdict comes later than the keeper waits, or a gateway swallows it: without end."""
    lost.argocd.server.fault(LOGIN, cut="after")
    one, other = lost.keeper(ONCE), lost.keeper(ONCE)
    for turn in range(8):
        lost.argocd.ahead = turn * minutes * 60
        one.check()
        other.check()
        if turn % 3 == 0:
            other = lost.keeper(ONCE)
    assert failures(lost) < LOCKS_AFTER
    assert failures(lost) <= 2


def test_a_login_of_the_keeper_may_take_40_seconds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long was measured, because Argo CD takes an account's logins one after the other. Nobody waits for it here."""
    given, send = list[float](), Transport.send

    def noted(self: Transport, method: str, path: str, *, timeout: float, **how: Any) -> Answer:
        if path == "/api/v1/session":
            given.append(timeout)
        return send(self, method, path, timeout=timeout, **how)

    world.begin_installed()
    world.argocd.revoke(ACCOUNT)
    monkeypatch.setattr(Transport, "send", noted)
    assert world.keeper(replace(FAST, check=Timing().check)).check().ready
    assert len(given) == 1
    assert given[0] > 40


def test_a_record_that_cannot_be_written_stops_the_keeper_from_sending(lost: World) -> None:
    """What is not recorded would be sent again at every check."""
    lost.kubernetes.fault("(PUT|POST|PATCH) .*/configmaps", answer=NO_RIGHT)
    keeper = lost.keeper()
    for _ in range(5):
        assert not keeper.check().ready
    assert failures(lost) <= 1


def test_of_two_keepers_at_once_one_sends(lost: World) -> None:
    """The other one writes the record between this one's look and write."""
    one, other = lost.keeper(), lost.keeper()
    lost.kubernetes.fault("(PUT|POST|PATCH) .*/configmaps", times=1, does=other.check)
    one.check()
    one.check()
    assert failures(lost) <= 1


def test_sends_of_hook_and_keeper_add_up(lost: World) -> None:
    """An upgrade's hook runs while a keeper's login is on its way, nobody is answered, and the installer retries."""
    lost.argocd.server.fault(LOGIN, times=1, does=lambda: lost.upgrade(), cut="after")
    lost.argocd.server.fault(LOGIN, cut="after")
    assert not lost.keeper().check().ready
    assert failures(lost) == 3, "the hook may send it once more than once"
    for _ in range(3):
        assert lost.upgrade().code in (75, 77)
    assert failures(lost) < LOCKS_AFTER


@pytest.mark.parametrize(
    "others", [None, {"salt": "c2FsdA==", "hash": "x", "sends": 3, "verdict": "refused", "refusals": 5}]
)
def test_a_record_that_becomes_anothers_while_a_login_is_on_its_way_is_begun_anew(
    lost: World, others: dict[str, object] | None
) -> None:
    """The user logs in with another password meanwhile: nothing that is counted for one password counts for another."""

    def replaced() -> None:
        record = json.dumps({**others, "at": lost.argocd.now()}) if others else ""
        lost.put(RECORD, {"data": {"record": record}})

    lost.argocd.server.fault(LOGIN, does=replaced)
    assert not lost.keeper().check().ready
    record = json.loads(lost.record())
    assert (record["sends"], record["verdict"], record["refusals"]) == (1, "refused", 1)


def test_a_claim_is_taken_back_when_no_password_was_sent(lost: World) -> None:
    """A login page stands in front of Argo CD for a moment: the password need not wait until it is forgotten."""
    lost.give(PASSWORD)
    lost.argocd.server.fault("GET .*/api/version$", answer=as_text(200, "<html>"))
    keeper = lost.keeper()
    assert not keeper.check().ready
    assert lost.record() == ""
    lost.argocd.server.heal()
    assert keeper.check().ready


def test_too_many_logins_in_flight_pass(world: World) -> None:
    world.begin_installed()
    world.argocd.revoke(ACCOUNT)
    world.argocd.logins.busy = 2
    keeper = world.keeper(replace(FAST, fastest_verdict=1.0))
    assert keeper.check().ready
    assert world.live() == [world.key]


# Somebody else owns argocd-secret


def test_keys_that_are_reset_again_and_again_storm_nothing(consumed: World) -> None:
    """Git, External Secrets or Terraform writes argocd-secret: 24 wipes within two minutes."""
    consumed.roll_out()
    keeper, restarts, verdict = consumed.keeper(), set(), None
    losses = metric("key_losses_total") or 0
    for wipe in range(24):
        consumed.argocd.ahead = wipe * 5
        consumed.argocd.revoke(ACCOUNT)
        verdict = keeper.check()
        restarts.add(consumed.restarted(CONSUMER))
        consumed.roll_out(later=wipe * 5 + 1)
    assert verdict
    assert not verdict.ready
    assert len(consumed.argocd.logins.seen) <= 12
    assert len(restarts) <= 12
    assert [kind for kind, reason, _ in consumed.events() if reason == "ApiKeysResetByOthers"] == ["Warning"]
    assert verdict.status is Status.REFUSED
    lost = (metric("key_losses_total") or 0) - losses
    assert verdict.reason == (
        f"Somebody else resets the API keys of account {ACCOUNT} in Argo CD: {lost:.0f} keys were lost within 10"
        " minutes, so the next one is issued later and no consumer is restarted."
    )
    assert verdict.remedy == (
        f"Find who writes accounts.{ACCOUNT}.tokens in Secret argocd-secret: kubectl -n argocd get secret argocd-secret"
        " --show-managed-fields -o yaml. Then exclude that field there: ignoreDifferences (an Application),"
        " creationPolicy Merge without that key (External Secrets), ignore_changes (Terraform)."
    )
    assert metric("keys_reset_by_others") == 1
    assert lost >= 3


def test_keys_that_are_reset_before_they_were_ever_accepted_storm_nothing(world: World) -> None:
    """External Secrets puts the field back within milliseconds of every change of argocd-secret."""
    world.begin_installed()
    world.argocd.revoke(ACCOUNT)
    world.argocd.lags = 10**6
    keeper, logins = world.keeper(replace(FAST, fresh_shows=0.02)), len(world.argocd.logins.seen)
    losses, told = metric("key_losses_total") or 0, []
    for seconds in range(0, 120, 10):
        world.argocd.ahead = seconds
        told.append(keeper.check())
    assert len(world.argocd.logins.seen) - logins <= 4
    assert world.reasons().count("ApiKeysResetByOthers") == 1
    assert metric("keys_reset_by_others") == 1
    assert (metric("key_losses_total") or 0) - losses >= 3
    assert f"accounts.{ACCOUNT}.tokens" in told[0].remedy, "nobody is told to make a key by hand"
    world.argocd.lags = 0
    world.argocd.ahead = 1400
    assert keeper.check().ready
    assert world.live() == [world.key]


def test_the_pause_between_two_keys_grows(world: World) -> None:
    world.begin_installed()
    keeper, sent = world.keeper(), []
    for seconds in (0, 10, 20, *range(60, 3000, 130)):  # no pause ends at a look, whatever the seconds' fractions
        world.argocd.ahead = seconds
        world.argocd.revoke(ACCOUNT)
        before = len(world.argocd.logins.seen)
        keeper.check()
        if len(world.argocd.logins.seen) > before:
            sent.append(seconds)
    pauses = [b - a for a, b in pairwise(sent)]
    assert 600 <= max(pauses) <= 600 + 2 * 130, "ten minutes, from the look that sees the loss to the next one"
    assert min(pauses[2:]) >= 30


def test_it_heals_by_itself(consumed: World) -> None:
    keeper = consumed.keeper()
    for wipe in range(6):
        consumed.argocd.ahead = wipe * 5
        consumed.argocd.revoke(ACCOUNT)
        keeper.check()
    for later in (100, 700, 1400):
        consumed.argocd.ahead = later
        verdict = keeper.check()
    assert verdict.ready
    assert consumed.argocd.accepts(consumed.token)
    assert consumed.restarted(CONSUMER) == consumed.key, "consumers follow once it is over"
    assert metric("keys_reset_by_others") == 0


def test_while_keys_are_reset_consumers_get_a_key_once_it_has_lasted(consumed: World) -> None:
    keeper = consumed.keeper()
    for _ in range(3):
        consumed.argocd.revoke(ACCOUNT)
        keeper.check()
    settles = Timing().storm_settles
    consumed.argocd.ahead = issued = 2 * Timing().storm_first_pause
    verdicts, restarted = [], []
    for later in (0, settles - 2, settles + 2):
        consumed.argocd.ahead = issued + later
        verdicts.append(keeper.check().status)
        restarted.append(consumed.restarted(CONSUMER) == consumed.key)
    assert metric("keys_reset_by_others") == 1
    assert verdicts == [Status.REFUSED, Status.REFUSED, Status.READY]
    assert restarted == [False, False, True]


def test_two_losses_are_no_storm(world: World) -> None:
    world.begin_installed()
    keeper = world.keeper()
    for _ in range(2):
        world.argocd.revoke(ACCOUNT)
        assert keeper.check().ready
    assert "ApiKeysResetByOthers" not in world.reasons()
