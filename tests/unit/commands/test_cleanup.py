"""``cleanup``, the uninstall hook: every key of the release is revoked, no object is left, and nothing fails."""

import json
import threading
import time

import pytest

from gitops_runtime_auth.commands import cleanup
from tests.fakes import LONG, SOON
from tests.fakes.kubestatus import RefusedError
from tests.fakes.logins import Verdict
from tests.fakes.web import as_json, as_text
from tests.fakes.world import ACCOUNT, ONCE, PASSWORD, REFUSED, World, ids_in

BY_HAND = "Keys of this release, if any, are named gra.*: argocd account get and argocd account delete-token."
JOBS, PODS = "/apis/batch/v1/namespaces/runtime-ns/jobs", "/api/v1/namespaces/runtime-ns/pods"
RECORD = f"/api/v1/namespaces/runtime-ns/configmaps/{REFUSED}"


def test_key_secret_record_and_what_helm_leaves_are_gone(world: World) -> None:
    world.give("wrong")
    world.install()
    world.give(PASSWORD)
    world.install()
    left = [f"{JOBS}/runtime-auth-ensure", f"{PODS}/runtime-auth-verify", world.path("runtime-auth-inline")]
    jobs, pods, secrets = ([f"runtime-auth-{name}"] for name in ("ensure", "verify", "inline"))
    world.derived = {"leftovers": {"jobs": jobs, "pods": pods, "secrets": secrets}}
    kept = [f"{JOBS}/runtime-auth-ensure-of-somebody", f"{PODS}/runtime-app-proxy"]
    for path in (*left, *kept):
        world.put(path, {"metadata": {"name": path.rpartition("/")[2]}})
    logins = len(world.argocd.logins.seen)
    done = world.uninstall()
    assert done.code == 0, done.said
    assert 'Deleted Secret "argocd-token".' in done.log.splitlines()
    assert world.live() == []
    assert [world.find(path) for path in (*left, world.path(), RECORD)] == [None] * 5
    assert all(world.find(path) for path in kept)
    assert len(world.argocd.logins.seen) == logins, "the key revokes itself"


def test_all_of_this_releases_keys_and_no_other_go(world: World) -> None:
    world.begin_installed()
    foreign = ["users-own", "gra.ffffffffffff.runtime-ns.runtime.20260101t000000z-0123456789ab", f"{world.prefix}x"]
    for name in foreign:
        world.argocd.make_key(ACCOUNT, name, age=1e6)
    for once in ("20260101t000000z-aaaaaaaaaaaa", "20260101t000000z-bbbbbbbbbbbb"):
        world.argocd.make_key(ACCOUNT, world.own_key(once), age=1e5)
    world.uninstall()
    assert sorted(world.argocd.live_keys(ACCOUNT)) == sorted(foreign)


@pytest.mark.parametrize("lost", ["the Secret", "the key"])
def test_without_a_good_key_one_login_finds_what_is_left_and_its_session_is_ended(world: World, lost: str) -> None:
    world.begin_installed()
    foreign = "gra.ffffffffffff.runtime-ns.runtime.20260101t000000z-0123456789ab"
    world.argocd.make_key(ACCOUNT, foreign)
    world.argocd.make_key(ACCOUNT, world.own_key())
    if lost == "the Secret":
        world.remove(world.path())
    else:
        world.argocd.revoke(ACCOUNT, world.key)
    done = world.uninstall()
    assert done.code == 0, done.said
    assert f"Revoked the API key {world.own_key()} of account {ACCOUNT}." in done.log.splitlines()
    assert world.argocd.live_keys(ACCOUNT) == [foreign]
    assert world.argocd.logins.verdicts() == [Verdict.OK] * 2
    assert world.argocd.live_sessions() == []
    assert world.secret() == {}


def test_after_a_refused_install_nobody_logs_in(world: World) -> None:
    world.give("wrong")
    world.install()
    world.argocd.ahead = 3600
    done = world.uninstall()
    assert done.code == 0
    words = "Argo CD refused this password before, or did not answer, so it is not used to look for keys."
    assert words in done.log.splitlines()
    assert world.argocd.logins.verdicts() == [Verdict.WRONG]


@pytest.mark.parametrize(("age", "stays"), [(0, True), (330 - LONG, True), (331, False)])
def test_a_record_stays_while_it_keeps_the_next_install_from_sending_the_password_again(
    world: World, age: float, stays: bool
) -> None:
    """Flux uninstalls after a refused install and installs again, within seconds and as often as ``retries`` says."""
    world.give("wrong")
    world.install()
    world.put(RECORD, {"data": {"record": json.dumps({**json.loads(world.record()), "at": time.time() - age})}})
    done = world.uninstall()
    assert done.code == 0
    assert bool(world.record()) == stays
    said = [line for line in done.log.splitlines() if line.startswith(f"ConfigMap {REFUSED} stays for ")]
    assert len(said) == stays
    for line in said:
        assert line.endswith(
            " s, so that the next install does not send the refused password again. It contains no secret, and you may"
            " delete it after that."
        )
    assert bool(world.find(RECORD)) == stays
    if stays:
        world.install()
        assert world.argocd.logins.verdicts() == [Verdict.WRONG]


def test_a_refusal_of_another_password_is_none_of_this_one(world: World) -> None:
    """The user corrected it and uninstalls without another install: keys of a former install may live."""
    world.begin_installed()
    world.remove(world.path())
    world.give("wrong")
    world.install()
    world.give(PASSWORD)
    world.uninstall()
    assert world.live() == []


def test_a_wrong_password_is_sent_once(world: World) -> None:
    world.begin_installed()
    world.remove(world.path())
    world.give("wrong")
    done = world.uninstall()
    assert done.code == 0
    assert world.argocd.logins.verdicts() == [Verdict.OK, Verdict.WRONG]
    assert f"refuses the login of account {ACCOUNT}: " in done.warnings[0]
    assert done.warnings[0].endswith(BY_HAND)


def test_a_login_whose_answer_is_lost_is_not_sent_again(world: World) -> None:
    world.begin_installed()
    world.remove(world.path())
    world.argocd.server.fault("POST .*/session$", cut="after")
    assert world.uninstall().code == 0
    assert world.argocd.logins.verdicts() == [Verdict.OK, Verdict.OK], "the install's, and one"


def test_the_user_secrets_may_be_gone_already(world: World) -> None:
    world.begin_installed()
    key = world.key
    world.remove(world.path())
    world.give("")
    done = world.uninstall()
    assert done.code == 0
    assert key in world.live()
    assert done.warnings[0].startswith("Looking for API keys to revoke failed: ")
    assert done.warnings[0].endswith(BY_HAND)


def test_replaced_keys_die_where_they_were_made(world: World) -> None:
    world.begin_installed()
    world.move_to(world.other)
    world.upgrade()
    world.argocd.account("third")
    done = world.uninstall()
    assert done.code == 0, done.said
    assert world.argocd.live_keys() == []
    assert world.other.live_keys() == []


def test_a_replaced_key_leaves_the_present_one_to_revoke_itself_without_a_login(world: World) -> None:
    """Both are of one account, which is reached by two names."""
    world.begin_installed()
    world.host = "localhost"
    world.upgrade()
    logins = len(world.argocd.logins.seen)
    done = world.uninstall()
    assert (done.code, done.warnings) == (0, [])
    assert world.live() == []
    assert len(world.argocd.logins.seen) == logins


def test_without_a_present_key_the_replaced_ones_revoke_what_is_left(world: World) -> None:
    """Somebody emptied the key of the Secret that consumers read; a run died before it stored its own."""
    world.begin_installed()
    world.move_to(world.other)
    world.upgrade()
    world.argocd.make_key(ACCOUNT, world.own_key())
    world.edit_secret({**world.secret(), "token": ""})
    done = world.uninstall()
    assert done.code == 0, done.said
    assert world.argocd.live_keys() == []
    assert world.other.live_keys() == []


def test_settings_of_a_failed_upgrade_do_not_hide_the_key_of_before(world: World) -> None:
    """The Secret still holds the former account's key when the upgrade's hook was refused."""
    world.begin_installed()
    world.argocd.account("second")
    world.use("second")
    world.give("wrong")
    world.upgrade()
    world.uninstall()
    assert world.argocd.live_keys() == []
    assert world.argocd.logins.failures_in_a_window("second") <= 1


def test_with_argocd_gone_the_key_is_named_and_the_rest_is_deleted(world: World) -> None:
    world.begin_installed()
    key = world.key
    world.argocd.server.go_down()
    done = world.uninstall(ONCE)
    assert done.code == 0
    assert key in ids_in(done.log)
    assert "argocd account delete-token" in done.log
    assert world.secret() == {}
    assert done.seconds < SOON


def test_with_kubernetes_gone_the_mounted_secret_serves(world: World) -> None:
    world.begin_installed()
    world.remount()
    world.kubernetes.fault("/secrets/", cut="before")
    done = world.run("cleanup", timing=ONCE)
    assert done.code == 0
    assert done.warnings[0].endswith(" The mounted Secret is used instead.")
    assert world.live() == []


def test_a_kubernetes_api_that_hangs_leaves_time_for_revoking(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.begin_installed()
    world.remount()
    world.set("hook.timeout", 10)
    monkeypatch.setattr(cleanup, "_SHARE", 0.01)  # a hang of a moment, for which the test waits
    hangs = threading.Event()
    world.kubernetes.fault("GET .*/secrets/", times=1, does=lambda: hangs.wait(30))
    done = world.run("cleanup", timing=ONCE)
    hangs.set()
    assert done.code == 0
    assert world.live() == []


@pytest.mark.parametrize(("timeout", "argocd", "whole"), [(180, 30, 120), (60, 20, 40)])
def test_the_process_ends_before_its_jobs_deadline(
    world: World, timeout: int, argocd: int, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Job's is ``hook.timeout``, which counts from before the Pod starts: what is killed says nothing."""
    left: list[float] = []
    world.set("hook.timeout", timeout)
    monkeypatch.setattr(cleanup, "_revoke", lambda run, _: left.append(run.deadline.left()))
    monkeypatch.setattr(cleanup, "_delete_record", lambda run: left.append(run.deadline.left()))
    world.uninstall()
    assert left == [pytest.approx(argocd, abs=SOON), pytest.approx(whole, abs=SOON)]
    assert left <= [argocd, whole]


def test_somebody_elses_secret_stays(world: World) -> None:
    world.begin_installed()
    world.edit(world.path(), **{"labels": {"app.kubernetes.io/managed-by": "Helm"}})
    done = world.uninstall()
    assert 'Secret "argocd-token" is not this release\'s, so it stays.' in done.log.splitlines()
    assert world.secret() != {}


def test_a_disabled_account_costs_no_login(world: World) -> None:
    world.begin_installed()
    key = world.key
    world.argocd.accounts.enable(ACCOUNT, False)
    done = world.uninstall()
    assert key in done.said
    assert world.argocd.logins.verdicts() == [Verdict.OK]


@pytest.mark.parametrize(
    "broken", ["no settings", "other settings", "odd settings", "odd secret", "no mounts", "every answer", "a 500"]
)
def test_helm_uninstall_is_never_failed(world: World, broken: str) -> None:
    world.begin_installed()
    environ: dict[str, str] = {}
    match broken:
        case "no settings":
            environ["GITOPS_RUNTIME_AUTH_FILES"] = "/nonexistent"
        case "other settings":
            environ["SETTINGS_SHA256"] = "0"
        case "odd settings":
            world.derived["credential"] = None
        case "odd secret":
            world.kubernetes.fault("GET .*/secrets/", answer=as_json(200, {"metadata": [], "data": 7}))
        case "no mounts":
            for folder in ("ca", "key", "credential"):
                world.mount(folder)
        case "every answer":
            world.argocd.server.fault(".*", answer=as_text(200, "\x00"))
            world.kubernetes.fault(".*", answer=as_text(200, "[]"))
        case "a 500":
            world.kubernetes.fault(".*", answer=RefusedError(500, "InternalError", "no").answer)
    done = world.run("cleanup", timing=ONCE, **environ)
    assert done.code == 0, done.said
    assert done.warnings


def test_an_unforeseen_error_is_named_without_its_text(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.begin_installed()
    monkeypatch.setattr(cleanup, "_stored", lambda _: int("a canary"))
    done = world.uninstall()
    assert (done.code, done.warnings) == (0, [f"The clean-up ended early (ValueError). {BY_HAND}"])
    assert "canary" not in done.said


def test_what_may_not_be_deleted_is_named(world: World) -> None:
    world.begin_installed()
    world.derived = {"leftovers": {"jobs": ["a-job"], "pods": ["a-pod"], "secrets": ["a-secret"]}}
    world.kubernetes.refuse("DELETE", RefusedError(403, "Forbidden", "no"))
    done = world.uninstall()
    assert done.code == 0
    assert [warning.partition(" failed: ")[0] for warning in done.warnings] == [
        'Deleting Secret "argocd-token"',
        "Deleting Job a-job",
        "Deleting Pod a-pod",
        "Deleting Secret a-secret",
        f"Deleting ConfigMap {REFUSED}",
    ]


def test_the_users_own_token_is_left_alone(world: World) -> None:
    world.use_token(world.argocd.make_key(ACCOUNT, "users-own"))
    world.install()
    world.uninstall()
    assert world.argocd.live_keys() == ["users-own"]
    assert world.argocd.logins.seen == []


def test_a_release_that_went_to_a_token_and_failed_leaves_no_key_of_its_own(world: World) -> None:
    """The upgrade's ``retire`` never ran: the Secret with the former key is still there."""
    world.begin_installed()
    world.use_token(world.argocd.make_key(ACCOUNT, "users-own"))
    world.uninstall()
    assert world.argocd.live_keys() == ["users-own"]
    assert world.secret() == {}
