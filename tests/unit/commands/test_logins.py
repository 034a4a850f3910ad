"""Passwords in ``ensure``: a refused one is sent once, by whomever, and no pattern of answers locks an account."""

import hashlib
import json
import tempfile
import threading
from dataclasses import replace

import pytest

from gitops_runtime_auth.timing import Timing
from tests.fakes import LONG, SOON
from tests.fakes.kubestatus import conflict
from tests.fakes.logins import LOCKS_AFTER, Verdict
from tests.fakes.web import as_json, as_text
from tests.fakes.world import ACCOUNT, FAST, NO_RIGHT, ONCE, PASSWORD, REFUSED, World

LOGIN, VERSION = "POST .*/api/v1/session$", "GET .*/api/version$"
IN_FLIGHT = replace(FAST, fastest_verdict=1.0)
"""For refusals that come at once: on a busy machine they take longer than ``FAST`` allows for."""
SHIPPED = replace(FAST, fastest_verdict=Timing().fastest_verdict, jitter=Timing().jitter)
RECORD = f"/api/v1/namespaces/runtime-ns/configmaps/{REFUSED}"


@pytest.fixture
def wrong(world: World) -> World:
    """A release whose password Argo CD refuses."""
    world.give("wrong")
    return world


def failures(world: World) -> int:
    """How many failed logins Argo CD counts against the account within any 300 seconds."""
    return world.server.logins.failures_in_a_window(ACCOUNT)


def recorded(world: World) -> tuple[str, int]:
    """Return what the record says: the verdict, and how often in a row it was a refusal."""
    record = json.loads(world.record())
    return record["verdict"], record["refusals"]


def test_a_refused_password_is_sent_once(wrong: World) -> None:
    done = wrong.install()
    assert done.code == 77
    assert done.problem.startswith(f"Argo CD at {wrong.url} refuses the login of account {ACCOUNT}: ")
    assert "argocd-initial-admin-secret" not in done.problem, "the password comes from another Secret"
    assert wrong.argocd.logins.verdicts() == [Verdict.WRONG]
    assert wrong.live() == []
    assert wrong.token == ""


def test_the_record_has_the_labels_and_annotations_of_every_object(wrong: World) -> None:
    """Or a policy that demands labels refuses it, and the run with it."""
    wrong.derived = {"commonLabels": {"team": "a"}, "commonAnnotations": {"note": "b"}}
    assert wrong.install().code == 77
    metadata = (wrong.find(RECORD) or {})["metadata"]
    assert metadata["labels"] == {
        "team": "a",
        "app.kubernetes.io/name": "gitops-runtime-auth",
        "app.kubernetes.io/instance": "runtime",
        "app.kubernetes.io/managed-by": "gitops-runtime-auth",
        "app.kubernetes.io/component": "refused-password",
        "helm.sh/chart": "gitops-runtime-auth-0.1.0",
    }
    assert metadata["annotations"]["note"] == "b"


def test_it_is_not_sent_again_before_argocd_has_forgotten(wrong: World) -> None:
    """An installer that retries: Flux, an automated sync, a pipeline."""
    assert [wrong.install().code for _ in range(7)] == [77] * 7
    assert wrong.argocd.logins.verdicts() == [Verdict.WRONG]
    wrong.argocd.ahead = 320
    assert wrong.install().code == 77
    assert len(wrong.argocd.logins.seen) == 1, "330 s have not passed"
    wrong.argocd.ahead = 340
    assert recorded(wrong) == ("refused", 1)
    assert wrong.install().code == 77
    assert len(wrong.argocd.logins.seen) == 2
    assert recorded(wrong) == ("refused", 2)
    assert failures(wrong) == 1
    wrong.give("wrong too")
    wrong.install()
    assert recorded(wrong) == ("refused", 1)


def test_the_remedy_names_the_seconds_that_are_left(wrong: World) -> None:
    wrong.install()
    wrong.argocd.ahead = 100
    done = wrong.install()
    assert (done.problem, done.remedy) in [
        (
            f"Argo CD at {wrong.url} refused the password of account {ACCOUNT} a moment ago. It is not sent again for"
            f" {seconds} s, because five refusals lock the account.",
            "Put the right password into its Secret or the values and try again: another password is sent at"
            f" once. If this one is right and the account was locked, wait {seconds} s.",
        )
        for seconds in (228, 229, 230)
    ]


def test_the_right_password_is_sent_at_once_and_empties_the_record(wrong: World) -> None:
    wrong.install()
    assert wrong.record()
    wrong.give(PASSWORD)
    assert wrong.install().code == 0
    assert wrong.record() == ""
    assert wrong.argocd.logins.verdicts() == [Verdict.WRONG, Verdict.OK]


def test_the_same_password_is_sent_to_another_server_and_for_another_account(wrong: World) -> None:
    wrong.install()
    wrong.move_to(wrong.other)
    wrong.give("wrong")
    wrong.install()
    assert wrong.other.logins.verdicts() == [Verdict.WRONG]
    wrong.other.account("second")
    wrong.auth["username"] = "second"
    wrong.install()
    assert wrong.other.logins.verdicts("second") == [Verdict.WRONG]


def test_the_record_holds_a_salted_slow_hash_only(wrong: World) -> None:
    wrong.install()
    record = wrong.record()
    assert "wrong" not in record
    for name in ("md5", "sha1", "sha256", "sha512"):
        assert hashlib.new(name, b"wrong").hexdigest() not in record
    wrong.remove(RECORD)
    wrong.argocd.ahead = 400
    wrong.install()
    assert json.loads(record)["hash"] != json.loads(wrong.record())["hash"]


@pytest.mark.parametrize("record", ["", "null", "[]", "7", "{", '{"salt": 1}', "\x00", '{"hash": "x", "at": "then"}'])
def test_a_record_that_nobody_can_read_stops_nobody(world: World, record: str) -> None:
    world.put(RECORD, {"metadata": {"name": REFUSED}, "data": {"record": record}})
    done = world.install()
    assert done.code == 0, done.said


def test_a_record_that_others_write_again_and_again_is_given_up_and_fails_nothing(world: World) -> None:
    changed = conflict("configmaps", REFUSED, "the object has been modified").answer
    fault = world.kubernetes.fault("PUT .*/configmaps/", answer=changed)
    done = world.install()
    assert done.code == 0, done.said
    assert fault.met == 5
    [told] = [w for w in done.warnings if "applications" not in w]
    assert told.startswith("The record of refused logins could not be changed (")


def test_a_refusal_that_cannot_be_recorded_is_told_all_the_same(wrong: World) -> None:
    wrong.kubernetes.fault(".*/configmaps", answer=NO_RIGHT)
    done = wrong.install()
    assert done.code == 77
    assert done.warnings[0].startswith("The refused login could not be recorded (")
    assert done.warnings[0].endswith(" Do not send the same password again soon.")
    assert wrong.argocd.logins.verdicts() == [Verdict.WRONG]


def test_a_read_only_tmp_is_nothing_to_an_install(wrong: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
    with pytest.raises(FileNotFoundError):
        tempfile.mkstemp()
    assert wrong.install().code == 77
    wrong.give(PASSWORD)
    assert wrong.install().code == 0


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_newline_after_the_password_is_named(world: World, end: str) -> None:
    world.mount("credential")
    (world.files / "credential" / "value").write_bytes(f"{PASSWORD}{end}".encode())
    done = world.install()
    assert done.code == 77
    assert done.problem.endswith(' The password from Secret "mine", key "password" ends with a newline.')


@pytest.mark.parametrize(("password", "says"), [("wrong", "does not change with the password"), ("", "delete it")])
def test_what_argocds_own_secret_is_like_is_told_with_its_name(world: World, password: str, says: str) -> None:
    """Argo CD keeps its first password in it for ever, and asks people to delete it: so they did."""
    world.auth["passwordSecretKeyRef"] = {"name": "argocd-initial-admin-secret", "key": "password"}
    world.give(password)
    done = world.install()
    assert done.code == (77 if password else 78)
    assert '"argocd-initial-admin-secret"' in done.problem
    assert says in done.problem


def test_the_password_goes_out_as_it_is(world: World) -> None:
    for password in (" blanks around ", "schlüssel-😀", '"quoted" \\ {}', "tab\there"):
        world.argocd.account("odd", password=password)
        world.use("odd")
        done = world.install()
        assert done.code == 0, password
        world.remove(world.path())


def test_too_many_logins_in_flight_are_no_refusal(world: World) -> None:
    world.argocd.logins.busy = 3
    done = world.install(IN_FLIGHT)
    assert done.code == 0, done.said
    assert world.argocd.logins.verdicts() == [Verdict.BUSY] * 3 + [Verdict.OK]


def test_too_many_logins_until_the_deadline_end_as_temporary_and_are_not_held_against_the_password(
    world: World,
) -> None:
    world.argocd.logins.busy = 1
    assert world.install(replace(ONCE, fastest_verdict=1.0)).code == 75
    assert world.install().code == 0


@pytest.mark.parametrize(
    ("login", "versions"),
    [
        (0.0, [0.0]),
        (0.15, [0.0]),
        (0.0, [0.15, 0.0]),
        (0.05, [0.0, 0.15, 0.05]),
        (0.1, [0.1]),
        (0.15, [0.15, 0.0, 0.0, 0.15]),
    ],
)
def test_no_pattern_of_answer_times_sends_a_wrong_password_more_than_twice(
    wrong: World, login: float, versions: list[float]
) -> None:
    """A proxy in between that is slow now and then, beside the first login and beside the harmless requests."""
    for n, delay in enumerate(versions):
        wrong.argocd.server.fault(VERSION, skip=n, times=1, took=delay)
    wrong.argocd.logins.refusal_seems += login
    assert wrong.install(replace(FAST, jitter=0.05)).code == 77
    assert failures(wrong) <= 2
    wrong.install()
    assert failures(wrong) <= 2


def test_with_the_shipped_constants_a_wrong_password_on_a_quiet_machine_is_sent_once(wrong: World) -> None:
    wrong.argocd.logins.refusal_seems = 0.95
    assert wrong.install(replace(SHIPPED, jitter=10.0)).code == 77
    assert wrong.argocd.logins.verdicts() == [Verdict.WRONG]


def test_with_the_shipped_constants_a_refusal_in_under_half_a_second_is_no_verdict(world: World) -> None:
    world.argocd.logins.busy = 1
    world.argocd.server.fault(LOGIN, times=1, took=0.2)
    assert world.install(SHIPPED).code == 0
    assert world.argocd.logins.verdicts() == [Verdict.BUSY, Verdict.OK]
    assert world.record() == ""


def test_with_the_shipped_constants_a_slow_answer_is_sent_once_more_at_most(wrong: World) -> None:
    wrong.argocd.logins.refusal_seems = 0.6
    wrong.argocd.server.fault(VERSION, times=1, took=0.4)
    assert wrong.install(SHIPPED).code == 77
    assert failures(wrong) <= 2


def test_a_login_whose_answers_are_lost_is_not_sent_for_ever(wrong: World) -> None:
    wrong.argocd.server.fault(LOGIN, cut="after")
    done = wrong.install()
    assert done.code == 75
    assert failures(wrong) <= 2
    assert recorded(wrong) == ("unclear", 0)


def test_lost_answers_are_remembered_by_the_next_run(wrong: World) -> None:
    wrong.argocd.server.fault(LOGIN, cut="after")
    for _ in range(5):
        assert wrong.install().code in (75, 77)
    assert failures(wrong) < LOCKS_AFTER
    assert failures(wrong) <= 2


def test_a_run_that_dies_while_its_login_is_on_its_way_has_counted_it(wrong: World) -> None:
    """Here it only can't write the outcome: what is left of it is what it wrote before it sent the password."""
    wrong.argocd.server.fault(LOGIN, cut="after")
    assert wrong.install(ONCE).code == 75
    assert json.loads(wrong.record())["sends"] == 1
    wrong.kubernetes.fault("PUT .*/configmaps/", skip=1, answer=NO_RIGHT)
    done = wrong.install(ONCE)
    assert done.code == 75
    assert "Another run is logging in" not in done.log
    record = json.loads(wrong.record())
    assert (record["sends"], record["verdict"]) == (2, "unclear")


def test_a_login_that_argocd_never_saw_is_not_counted_and_those_before_it_are(wrong: World) -> None:
    wrong.argocd.server.fault(LOGIN, cut="after")
    assert wrong.install(ONCE).code == 75
    assert json.loads(wrong.record())["sends"] == 1
    wrong.argocd.server.heal()
    wrong.argocd.server.fault(LOGIN, answer=as_text(404, "404 page not found"))
    assert wrong.install(ONCE).code not in (0, 77)
    assert json.loads(wrong.record())["sends"] == 1


def test_a_lost_answer_to_the_right_password_is_put_right_by_the_run_itself(world: World) -> None:
    world.argocd.server.fault(LOGIN, times=1, cut="after")
    done = world.install()
    assert done.code == 0, done.said
    assert world.argocd.logins.verdicts() == [Verdict.OK] * 2
    assert world.record() == ""


def test_a_login_may_take_longer_than_any_other_request(world: World) -> None:
    """Argo CD takes logins of one account one after the other: 40 s were measured."""
    world.argocd.logins.takes = (0.3, 0.3)
    done = world.install(replace(FAST, request=0.15))
    assert done.code == 0, done.said
    assert world.argocd.logins.verdicts() == [Verdict.OK]


@pytest.mark.parametrize("name", ["n" * 33, "somebody@example.com" + "x" * 13, "ü" * 17])
def test_a_name_that_no_local_account_can_have_costs_no_login(world: World, name: str) -> None:
    world.auth["username"] = name
    done = world.install()
    assert done.code in (77, 78)
    assert world.argocd.logins.seen == []
    assert "32" in done.said


def test_http_400_at_a_login_is_a_refusal_that_is_not_repeated(world: World) -> None:
    world.argocd.server.fault(LOGIN, answer=as_json(400, {"code": 3, "message": "no", "error": "no"}))
    assert world.install().code == 77
    assert len(world.argocd.server.asked(LOGIN)) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"message": "please sign in"},
        {"error": "unauthorized", "code": 401},
        {"message": "Invalid username or password"},
        {},
    ],
)
def test_a_gateways_401_at_a_login_says_nothing_about_the_password(world: World, answer: dict[str, object]) -> None:
    fault = world.argocd.server.fault(LOGIN, answer=as_json(401, answer))
    done = world.install()
    assert done.code not in (0, 77)
    assert fault.met <= 2
    world.argocd.server.heal()
    assert world.install().code == 0, "nothing is held against the password"


def test_a_password_change_in_the_future_is_named(world: World) -> None:
    """Argo CD rejects every session that is older than the account's last password change."""
    world.argocd.accounts.secret[ACCOUNT].password_mtime = world.argocd.now() + 3600
    done = world.install()
    assert done.code == 77
    assert done.problem == (
        f"Argo CD rejects the session that it just gave account {ACCOUNT}, because the time of the account's last"
        " password change lies in the future."
    )
    assert done.remedy == (
        "Correct the clock of the machine that set the password, then set it again (argocd account"
        f" update-password --account {ACCOUNT}): Argo CD compares passwordMtime in Secret argocd-secret with its own"
        " clock."
    )
    assert world.live() == []


def test_a_disabled_account_is_no_wrong_password(world: World) -> None:
    world.argocd.accounts.enable(ACCOUNT, False)
    assert world.install().code == 77
    world.argocd.accounts.enable(ACCOUNT)
    assert world.install().code == 0


def test_a_kubernetes_api_that_hangs_does_not_hold_a_refusal_up(wrong: World) -> None:
    hangs = threading.Event()
    wrong.kubernetes.fault(".*", does=lambda: hangs.wait(LONG))
    done = wrong.install(replace(FAST, recording=0.1, event=0.05, last_try=0.05))
    hangs.set()
    assert done.code == 77
    assert done.warnings[0] == (
        "The Kubernetes API does not answer, so this login is not recorded. Do not send it again soon."
    )
    assert done.seconds < SOON


def test_a_record_that_cannot_be_emptied_does_not_take_the_time_for_the_key(world: World) -> None:
    hangs = threading.Event()
    world.kubernetes.fault(f"GET .*/configmaps/{REFUSED}$", skip=1, times=1, does=lambda: hangs.wait(LONG))
    done = world.install(replace(FAST, event=0.05, last_try=0.05))
    hangs.set()
    assert done.code == 0, done.said
    assert any(warning.startswith("The record of refused logins could not be changed (") for warning in done.warnings)
    assert done.seconds < SOON
    assert world.live() == [world.key]
