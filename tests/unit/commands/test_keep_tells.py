"""What the keeper tells: metrics for both alerts, an Event for each change of state, readiness."""

import json
import os
import time
from datetime import UTC, datetime

import jwt
import pytest

from tests.fakes import LONG
from tests.fakes.keeper import metric
from tests.fakes.web import as_text
from tests.fakes.world import ACCOUNT, NO_RIGHT, ONCE, PASSWORD, World


@pytest.fixture
def installed(world: World) -> World:
    world.begin_installed()
    return world


def break_it(world: World, how: str) -> None:
    match how:
        case "revoked, wrong password":
            world.argocd.revoke(ACCOUNT)
            world.give("wrong")
        case "revoked, no password":
            world.argocd.revoke(ACCOUNT)
            world.give("")
        case "disabled":
            world.argocd.accounts.enable(ACCOUNT, False)
        case "vanished":
            world.argocd.accounts.vanish(ACCOUNT)
        case "no apiKey":
            world.argocd.account(ACCOUNT, "login")
        case "unreachable":
            world.argocd.server.fault(".*", cut="before")
        case "no rights":
            world.kubernetes.fault("GET .*/secrets/", answer=NO_RIGHT)
        case "gateway":
            world.argocd.server.fault(".*", answer=as_text(200, "<html>sign in</html>"))


REFUSED = ["revoked, wrong password", "revoked, no password", "disabled", "vanished", "no apiKey"]
UNKNOWN = ["unreachable", "gateway"]


@pytest.mark.parametrize("how", [*REFUSED, *UNKNOWN, "no rights"])
def test_trouble_is_told_by_readiness_and_one_event(installed: World, how: str) -> None:
    keeper = installed.keeper(ONCE)
    keeper.check()
    break_it(installed, how)
    keeper.give((installed.files / "credential" / "value").read_text() if "no password" not in how else "")
    told = len(installed.events())
    for _ in range(3):
        verdict = keeper.check()
        assert not verdict.ready
        assert verdict.reason.endswith(".")
    assert not keeper.health.ready
    new = installed.events()[told:]
    assert [(kind, reason) for kind, reason, _ in new[:1]] == [("Warning", "AuthenticationFailed")]
    assert new[-1][2] == f"{verdict.reason} {verdict.remedy}"
    told_anew = 2 if how == "revoked, wrong password" else 0  # it says for how many seconds it is not sent again
    assert len(new) <= 1 + told_anew, "a state is told once"


@pytest.mark.parametrize(
    ("how", "valid", "refused", "up"),
    [
        *((how, 0, 1, 1) for how in REFUSED),
        *((how, 1, 0, 0) for how in UNKNOWN),
        ("no rights", 1, 0, 1),
    ],
)
def test_the_key_is_invalid_only_when_argocd_says_so(
    installed: World, how: str, valid: int, refused: int, up: int
) -> None:
    keeper = installed.keeper(ONCE)
    keeper.check()
    assert metric("key_valid") == 1
    refusals = metric("refusals_total", what="key") or 0
    break_it(installed, how)
    keeper.give((installed.files / "credential" / "value").read_text() if "no password" not in how else "")
    keeper.check()
    assert metric("key_valid") == valid
    assert (metric("refusals_total", what="key") or 0) - refusals == refused
    assert metric("argocd_up") == up


def test_where_there_is_no_key_it_is_invalid_too(installed: World) -> None:
    installed.keeper(ONCE).check()
    assert metric("key_valid") == 1
    installed.remove(installed.path())
    installed.give("wrong")
    assert not installed.keeper(ONCE).check().ready, "one that has never seen the key"
    assert metric("key_valid") == 0


def test_the_time_of_the_last_check_that_argocd_answered_is_told(installed: World) -> None:
    keeper, began = installed.keeper(ONCE), time.time()
    keeper.check()
    answered = metric("last_check_timestamp_seconds") or 0
    assert began <= answered <= time.time()
    installed.argocd.server.fault(".*", cut="before")
    keeper.check()
    assert metric("last_check_timestamp_seconds") == answered


def test_recovery_is_told_by_one_event(installed: World) -> None:
    keeper = installed.keeper(ONCE)
    keeper.check()
    installed.argocd.accounts.enable(ACCOUNT, False)
    keeper.check()
    installed.argocd.accounts.enable(ACCOUNT)
    for _ in range(3):
        assert keeper.check().ready
    assert installed.reasons()[-2] == "AuthenticationFailed"
    works = f"Argo CD accepts the API key of account {ACCOUNT}."
    assert installed.events()[-1] == ("Normal", "AuthenticationWorks", works)
    assert keeper.health.ready


def test_a_start_that_goes_well_is_no_event(installed: World) -> None:
    told = len(installed.events())
    installed.keeper(ONCE).check()
    assert len(installed.events()) == told


def test_a_new_key_is_counted(installed: World) -> None:
    keeper = installed.keeper(ONCE)
    keeper.check()
    made = metric("regenerations_total") or 0
    installed.argocd.revoke(ACCOUNT)
    keeper.check()
    assert metric("regenerations_total") == made + 1
    assert metric("key_valid") == 1, "the alert ends"
    told = f"Issued the API key {installed.key} of account {ACCOUNT}."
    assert installed.events()[-1] == ("Normal", "ApiKeyRegenerated", told)
    assert json.dumps(told)[1:-1] in keeper.log.getvalue()


def test_refusals_are_counted_by_what_was_refused(installed: World) -> None:
    keeper = installed.keeper(ONCE)
    keeper.check()
    keys, logins = metric("refusals_total", what="key") or 0, metric("refusals_total", what="login") or 0
    installed.argocd.revoke(ACCOUNT)
    keeper.give("wrong")
    keeper.check()
    keeper.check()
    assert (metric("refusals_total", what="key") or 0) - keys == 2
    assert (metric("refusals_total", what="login") or 0) - logins == 1, "the second time nothing was sent"


@pytest.mark.parametrize("age", [3600, 10**7])
@pytest.mark.parametrize("kind", ["password", "token"])
def test_the_keys_age_is_told_by_argocds_clock_and_is_never_negative(installed: World, kind: str, age: int) -> None:
    if kind == "token":
        installed.use_token(installed.argocd.make_key(ACCOUNT, "users-own"))
    keeper, issued = installed.keeper(ONCE), installed.argocd.accounts.secret[ACCOUNT].keys[-1].issued_at
    installed.argocd.ahead = issued + age - time.time()
    keeper.check()
    assert abs((metric("key_age_seconds") or 0) - age) < LONG
    installed.argocd.ahead = issued - age - time.time()
    keeper.check()
    assert metric("key_age_seconds") == 0


def test_the_keys_end_is_told(world: World) -> None:
    world.argocd.keys_expire_after = 43200
    world.install()
    world.keeper().check()
    assert abs((metric("key_expires_timestamp_seconds") or 0) - world.argocd.now() - 43200) < LONG


# ``type: token``


@pytest.fixture
def given(world: World) -> World:
    world.use_token(world.argocd.make_key(ACCOUNT, "users-own"))
    return world


def test_a_users_token_is_only_watched(given: World) -> None:
    keeper = given.keeper()
    assert keeper.check().ready
    given.argocd.revoke(ACCOUNT)
    refusals = metric("refusals_total", what="key") or 0
    verdict = keeper.check()
    assert not verdict.ready
    assert "argocd account generate-token" in verdict.remedy
    assert metric("key_valid") == 0
    assert metric("refusals_total", what="key") == refusals + 1
    assert given.argocd.logins.seen == []
    assert given.argocd.live_keys() == []
    assert [str(r) for r in given.kubernetes.server.asked("^(POST|PUT|PATCH|DELETE) ") if "/events" not in r.path] == []


def test_a_users_new_token_is_noticed(given: World) -> None:
    keeper = given.keeper()
    given.argocd.revoke(ACCOUNT)
    assert not keeper.check().ready
    keeper.give(given.argocd.make_key(ACCOUNT, "users-next"))
    assert keeper.check().ready
    assert metric("key_valid") == 1


def test_a_users_token_that_ends_soon_is_warned_of_once(given: World) -> None:
    given.use_token(given.argocd.make_key(ACCOUNT, "for-a-day", expires_in=86400), acceptExpiring=True)
    keeper = given.keeper()
    assert keeper.check().ready
    assert abs((metric("key_expires_timestamp_seconds") or 0) - given.argocd.now() - 86400) < LONG
    told, end = len(given.events()), jwt.decode(given.argocd.made[-1], options={"verify_signature": False})["exp"]
    for lasts in (86400 / 6 + 60, 86400 / 6 - 60, 600):  # the last sixth of its life
        given.argocd.ahead = 86400 - lasts
        assert keeper.check().ready
        assert len(given.events()) - told == (lasts < 86400 / 6)
    assert abs((metric("key_age_seconds") or 0) - (86400 - 600)) < LONG
    assert given.events()[told:] == [
        (
            "Warning",
            "ApiKeyExpires",
            f'The API key of account {ACCOUNT} from Secret "mine", key "token" expires at'
            f" {datetime.fromtimestamp(end, UTC).isoformat()}. Renew it now (auth.acceptExpiring).",
        )
    ]
    given.argocd.ahead = 86400 + 5
    assert not keeper.check().ready


def test_a_gateways_page_says_nothing_about_a_users_token(given: World) -> None:
    keeper = given.keeper(ONCE)
    assert keeper.check().ready
    break_it(given, "gateway")
    assert not keeper.check().ready
    assert metric("key_valid") == 1


@pytest.mark.parametrize("token", ["", "no token", "a.b.c"])
def test_what_is_no_token_is_told(given: World, token: str) -> None:
    keeper = given.keeper()
    assert keeper.check().ready
    keeper.give(token)
    assert not keeper.check().ready
    assert metric("key_valid") == 0
    assert given.reasons() == ["AuthenticationFailed"]


def test_nothing_that_is_told_holds_a_credential(installed: World) -> None:
    keeper = installed.keeper(ONCE)
    keeper.check()
    installed.argocd.revoke(ACCOUNT)
    keeper.check()
    keeper.give("wrong-canary")
    installed.argocd.revoke(ACCOUNT)
    keeper.check()
    told = keeper.log.getvalue() + keeper.health.reason + "".join(m for _, _, m in installed.events())
    for secret in (PASSWORD, "wrong-canary", *installed.argocd.made):
        assert secret not in told
    assert os.environ.get("POD_NAME") is None
