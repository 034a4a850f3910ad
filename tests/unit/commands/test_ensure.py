"""``ensure``, the install hook: one key of this release, the one in the Secret, with as few logins as can be."""

import jwt
import pytest

from gitops_runtime_auth.commands import ensure
from tests.fakes import SOON
from tests.fakes.logins import Verdict
from tests.fakes.web import as_text
from tests.fakes.world import ACCOUNT, FAST, NO_RIGHT, ONCE, PASSWORD, World


def healthy(world: World) -> None:
    """One live key of the release, the one in the Secret, that Argo CD accepts; and no session."""
    assert world.live() == [world.key]
    assert world.server.accepts(world.token)
    assert world.server.live_sessions() == []


def test_a_fresh_install_makes_one_key_with_one_login_and_ends_the_session(world: World) -> None:
    done = world.install()
    assert done.code == 0, done.said
    healthy(world)
    assert world.argocd.logins.verdicts() == [Verdict.OK]
    assert len(world.argocd.made) == 1
    told = f'Created the API key {world.key} of account {ACCOUNT} and stored it in Secret "argocd-token".'
    assert world.events() == [("Normal", "ApiKeyCreated", told)]
    assert done.log.splitlines()[-1] == told


def test_the_key_has_no_end(world: World) -> None:
    world.install()
    assert "exp" not in jwt.decode(world.token, options={"verify_signature": False})


def test_an_upgrade_with_a_good_key_logs_in_nobody_and_writes_nothing(world: World) -> None:
    world.begin_installed()
    before = len(world.kubernetes.server.asked("^(POST|PUT|PATCH|DELETE) "))
    done = world.upgrade()
    assert done.code == 0, done.said
    assert len(world.kubernetes.server.asked("^(POST|PUT|PATCH|DELETE) ")) == before
    assert world.argocd.logins.verdicts() == [Verdict.OK]
    assert done.log.endswith(f"\nThe API key {world.key} of account {ACCOUNT} still works; nothing was changed.\n")
    healthy(world)


@pytest.mark.parametrize("keys", [0, 3000], ids=["alone", "among 3000 keys"])
def test_an_upgrade_costs_the_same_however_many_keys_the_account_has(world: World, keys: int) -> None:
    world.begin_installed()
    for n in range(keys):
        world.argocd.make_key(ACCOUNT, f"somebody-elses-{n}", age=3600)
    before = len(world.argocd.server.log)
    assert world.upgrade().code == 0
    assert len(world.argocd.server.log) - before <= 2


def test_a_revoked_key_is_replaced_by_exactly_one(world: World) -> None:
    world.begin_installed()
    old = world.key
    world.argocd.revoke(ACCOUNT)
    done = world.upgrade()
    assert done.code == 0, done.said
    assert f"The stored API key {old} no longer works: the key has been revoked." in done.log.splitlines()
    assert world.key != old
    healthy(world)
    assert world.argocd.logins.verdicts() == [Verdict.OK] * 2


def test_a_deleted_secret_is_made_anew_and_the_key_that_it_held_is_revoked(world: World) -> None:
    world.begin_installed()
    old = world.key
    world.remove(world.path())
    assert world.upgrade().code == 0
    assert world.key not in ("", old)
    healthy(world)


def test_keys_of_others_are_left_alone(world: World) -> None:
    """Another cluster's, another namespace's, another release's, a user's own: however old they are."""
    identity = world.prefix.split(".")[1]
    strangers = [
        "gra.ffffffffffff.runtime-ns.runtime.20260101t000000z-0123456789ab",
        f"gra.{identity}.elsewhere.runtime.20260101t000000z-0123456789ab",
        f"gra.{identity}.runtime-ns.runtime2.20260101t000000z-0123456789ab",
        f"gra.{identity}.runtime-ns.runtime.b.20260101t000000z-0123456789ab",
        f"gra.{identity}.runtime-ns.runtime",
        f"x.gra.{identity}.runtime-ns.runtime.20260101t000000z-0123456789ab",
        "gra.x",
        "mine",
        "6d1f3c52-2c0b-4f0e-8a83-3a4d9b3ef001",
    ]
    world.begin_installed()
    for stranger in strangers:
        world.argocd.make_key(ACCOUNT, stranger, age=1e6)
    world.argocd.revoke(ACCOUNT, world.key)
    world.upgrade()
    world.upgrade()
    assert sorted(world.argocd.live_keys(ACCOUNT)) == sorted([*strangers, world.key])


@pytest.mark.parametrize(
    ("age", "stays"),
    [(0, True), (60, True), (90, False), (1500, False)],
    ids=["made now", "a run may be storing it", "no run takes that long", "older than the good key"],
)
def test_a_key_that_a_crash_left_goes_once_nobody_can_be_about_to_store_it(world: World, age: int, stays: bool) -> None:
    """``hook.timeout`` is 20 s here, and a minute is added for a pod to start in."""
    world.begin_installed()
    world.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 1000
    left = world.own_key()
    world.argocd.make_key(ACCOUNT, left, age=age)
    done = world.upgrade()
    assert done.code == 0, done.said
    told = f"Revoked the API key {left}, which nothing uses any more." in done.log.splitlines()
    assert (left in world.live()) is stays is not told
    assert world.key in world.live()


def test_a_key_that_a_crash_left_goes_at_once_if_it_is_older_than_the_one_in_use(world: World) -> None:
    """Whoever made it was done when the key in use was made."""
    world.begin_installed()
    world.argocd.accounts.secret[ACCOUNT].keys[0].issued_at = int(world.argocd.now()) - 30
    world.argocd.make_key(ACCOUNT, world.own_key(), age=40)
    assert world.upgrade().code == 0
    assert world.live() == [world.key]


def test_now_is_argocds_clock_and_not_the_pods(world: World) -> None:
    """The Pod's clock is an hour behind: a key in the making looks no older for that."""
    world.argocd.ahead = 3600
    world.install()
    world.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 1000
    left = world.own_key()
    world.argocd.make_key(ACCOUNT, left, age=30)
    world.upgrade()
    assert left in world.live()


def test_a_key_that_another_run_makes_meanwhile_is_not_revoked(world: World) -> None:
    making = world.own_key()
    world.argocd.server.fault("POST .*/token$", times=1, does=lambda: world.argocd.make_key(ACCOUNT, making))
    assert world.install().code == 0
    assert sorted(world.live()) == sorted([making, world.key])


def test_leftovers_are_judged_by_the_secret_as_the_api_shows_it(world: World) -> None:
    """The mounted Secret may be minutes old: a keeper has replaced the key since, and the old one still works."""
    world.begin_installed()
    world.remount()
    stale = {name: (world.files / "key" / name).read_text() for name in world.secret()}
    second = world.own_key()
    token = world.argocd.make_key(ACCOUNT, second, age=500)
    world.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 100
    world.edit_secret({**world.secret(), "token": token})
    world.mount("key", **stale)
    world.run("ensure")
    assert second in world.live()


def test_a_stored_key_of_another_release_is_not_taken_and_not_revoked(world: World) -> None:
    world.begin_installed()
    foreign = "gra.ffffffffffff.elsewhere.runtime.20260101t000000z-0123456789ab"
    token = world.argocd.make_key(ACCOUNT, foreign)
    world.edit_secret({**world.secret(), "token": token})
    assert world.upgrade().code == 0
    assert world.token != token
    assert foreign in world.argocd.live_keys(ACCOUNT)


def test_a_stored_key_that_has_expired_is_replaced(world: World) -> None:
    world.argocd.keys_expire_after = 600
    world.install()
    world.argocd.keys_expire_after, world.argocd.ahead = 0, 700
    assert world.upgrade().code == 0
    assert world.argocd.accepts(world.token)
    assert "exp" not in jwt.decode(world.token, options={"verify_signature": False})


def test_an_argocd_that_gives_every_key_an_end_is_put_up_with(world: World) -> None:
    """Whoever runs it decided so; a refusal would only leave the Runtime without any key."""
    world.argocd.keys_expire_after = 43200
    done = world.install()
    assert done.code == 0, done.said
    healthy(world)
    assert len(world.argocd.made) == 1


@pytest.mark.parametrize("lag", [{"lags": 3}, {"lag_seconds": 0.1}], ids=["some replicas", "all replicas"])
def test_a_fresh_key_that_another_replica_does_not_know_yet_is_asked_for_again(
    world: World, lag: dict[str, float]
) -> None:
    for name, value in lag.items():
        setattr(world.argocd, name, value)
    done = world.install()
    assert done.code == 0, done.said
    assert "The new API key: Argo CD does not know the new API key yet (the key has been revoked).; trying" in done.log
    assert len(world.argocd.made) == 1
    assert world.argocd.logins.verdicts() == [Verdict.OK]
    healthy(world)


def test_a_key_that_argocd_lost_is_made_once_more(world: World) -> None:
    """Two keys of an account that are made at once: Argo CD writes the list that it read before the other was added."""
    made = "POST .*/account/[^/]+/token$"
    world.argocd.server.fault(f"GET .*/account/{ACCOUNT}$", skip=1, times=1, does=lambda: world.argocd.revoke(ACCOUNT))
    done = world.install(ONCE)
    assert done.code == 0, done.said
    assert "no longer knows it. Creating another one." in done.log
    assert len(world.argocd.server.asked(made)) == 2
    assert world.argocd.logins.verdicts() == [Verdict.OK]
    healthy(world)


def test_a_key_that_argocd_never_comes_to_know_leaves_nothing_behind(world: World) -> None:
    world.argocd.lags = 1 << 30
    done = world.install(ONCE)
    assert done.code == 77
    assert done.problem.endswith(f" of account {ACCOUNT} and no longer knows it.")
    assert done.remedy == (
        f"Somebody else writes accounts.{ACCOUNT}.tokens in Secret argocd-secret (Git, External Secrets, Terraform, an"
        " operator): exclude that field there, then try again."
    )
    assert world.live() == []
    assert world.token == ""
    assert len(world.argocd.made) == 2, "once more, in case that only another key was made at the same moment"


def test_the_account_in_the_secret_is_the_one_of_the_settings(world: World) -> None:
    """Another user name in the values: the stored key is the former account's, so it is not taken."""
    world.begin_installed()
    first = world.key
    world.argocd.account("second")
    world.use("second")
    assert world.upgrade().code == 0
    assert world.live() == [first, world.key], "pods may still use the first"
    assert world.key in world.argocd.live_keys("second")


def test_a_rollback_takes_the_key_of_then_without_a_login(world: World) -> None:
    """The upgrade went to another account; a rollback brings the first one's settings, and a password of today."""
    world.begin_installed()
    first = world.key
    world.argocd.account("second")
    world.use("second")
    world.upgrade()
    second = world.key
    logins = len(world.argocd.logins.seen)
    world.use(ACCOUNT)
    world.give("a password of another day")
    assert world.rollback().code == 0
    assert world.key == first
    assert sorted(world.live()) == sorted([first, second]), "pods of the failed upgrade may still use the second"
    assert len(world.argocd.logins.seen) == logins


@pytest.mark.parametrize("broken", ["password", "account", "argocd", "foreign", "settings", "unforeseen"])
def test_before_a_rollback_what_cannot_be_mended_is_a_warning(
    world: World, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that fails leaves the release in ``pending-rollback``, which blocks every later upgrade."""
    if broken == "password":
        world.give("wrong")
    elif broken == "account":
        world.argocd.accounts.enable(ACCOUNT, False)
    elif broken == "argocd":
        world.argocd.server.go_down()
    elif broken == "settings":
        world.derived["url"] = None
    elif broken == "unforeseen":
        monkeypatch.setattr(ensure, "_reach", lambda _: int("a canary"))
    else:
        world.put(world.path(), {"metadata": {"name": "argocd-token"}, "data": {}})
    done = world.rollback(ONCE)
    assert done.code == 0, done.said
    assert " The rollback continues all the same." in done.warnings[-1]
    assert ("Unexpected internal error (ValueError)." in done.warnings[-1]) == (broken == "unforeseen")
    assert (f"refuses the login of account {ACCOUNT}: " in done.warnings[-1]) == (broken == "password")
    assert "canary" not in done.said
    assert world.live() == []


def test_an_outage_ends_by_itself_when_argocd_comes_back(world: World) -> None:
    world.argocd.server.fault("GET .*/version", times=3, cut="before")
    assert world.install().code == 0
    healthy(world)


def test_each_step_that_is_tried_again_is_told_by_its_name(world: World) -> None:
    install = {
        "GET .*/api/version$": "Argo CD's version",
        "POST .*/api/v1/session$": "Login",
        f"GET .*/account/{ACCOUNT}$": "Account",
        "POST .*/token$": "Creating the API key",
        "GET .*/can-i/": "RBAC",
        "GET .*/auth/logout$": "Logout",
    }
    world.argocd.lags = 1
    for run, steps in (
        (world.install, {**install, "never": "The new API key"}),
        (world.uninstall, {"DELETE .*/token/": "Revoking a key"}),
    ):
        for step in steps:
            world.argocd.server.fault(step, times=1, answer=as_text(503, "busy"))
        done = run()
        assert done.code == 0, done.said
        told = [line.partition(": ")[0] for line in done.log.splitlines() if "; trying again in " in line]
        assert sorted(told) == sorted(steps.values())


def test_a_missing_argocd_is_69_within_the_deadline(world: World) -> None:
    world.argocd.server.go_down()
    done = world.install(ONCE)
    assert done.code == 69
    assert world.server.url in done.problem


@pytest.mark.parametrize("asked", ["30", "3600", "9" * 30, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_who_asks_to_wait_for_longer_than_the_deadline_is_believed_at_once(world: World, asked: str) -> None:
    """The deadline is ``hook.timeout``, 20 s here."""
    world.argocd.server.fault("GET .*/version", times=1, answer=as_text(503, "no", **{"Retry-After": asked}))
    done = world.install()
    assert done.code == 75
    assert done.seconds < SOON


@pytest.mark.parametrize("asked", ["0", "-5", "²", "1_0", "soon", "0x1", "", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_odd_words_in_retry_after_are_no_wait(world: World, asked: str) -> None:
    from tests.fakes.web import Answer

    busy = Answer(503, b"no", {"Retry-After": asked.encode().decode("latin-1")})
    world.argocd.server.fault("GET .*/version", times=2, answer=busy)
    done = world.install()
    assert done.code == 0, done.said
    assert done.seconds < SOON


def test_a_wait_that_is_asked_for_is_kept(world: World) -> None:
    world.argocd.server.fault("GET .*/version", times=1, answer=as_text(429, "no", **{"Retry-After": "1"}))
    done = world.install()
    assert done.code == 0
    first, second = (r.at for r in world.argocd.server.asked("GET .*/version")[:2])
    assert second - first >= 1


def test_the_run_is_told_in_few_lines_without_a_secret(world: World) -> None:
    world.set("hook.logLevel", "info")
    done = world.install()
    assert 0 < len(done.log.splitlines()) <= 4
    assert PASSWORD not in done.said


def test_an_event_that_cannot_be_written_fails_nothing(world: World) -> None:
    world.kubernetes.fault("POST .*/events$", answer=NO_RIGHT)
    assert world.install(FAST).code == 0
    healthy(world)


def test_a_failure_is_told_three_times(world: World) -> None:
    """In the log, in the termination message, and in an Event: Flux shows no log."""
    world.give("wrong")
    done = world.install()
    assert done.code == 77
    [(kind, reason, message)] = world.events()
    assert (kind, reason) == ("Warning", "AuthenticationFailed")
    for sentence in (done.problem, done.remedy):
        assert sentence
        assert sentence in done.log
        assert sentence in message


def test_settings_that_somebody_changed_are_refused_before_anything_is_sent(world: World) -> None:
    """Whoever may edit the ConfigMap would otherwise get the password sent to a server of his choice."""
    world.remount()
    done = world.run("ensure", SETTINGS_SHA256="0" * 64)
    assert done.code == 78
    assert world.argocd.server.log == []
