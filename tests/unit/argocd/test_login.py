"""How often a password is sent, to whom, and what each outcome says about it."""

import logging
import time
from dataclasses import replace

import pytest

from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.errors import (
    AnswerError,
    AuthError,
    ConfigurationError,
    KeyRefusedError,
    LoginRefusedError,
    LoginUnansweredError,
    Refusal,
    TemporaryError,
    UnreachableError,
    WrongServerError,
)
from gitops_runtime_auth.timing import Timing
from tests.unit.argocd.server import (
    ARGOCD,
    LOGIN,
    QUICK,
    VERSION,
    WRONG,
    Reply,
    Served,
    client,
    closed_port,
    refusal,
    serving,
)

GOOD = Reply(json={"token": "session"})
FAST = refusal(WRONG)
"""A refusal that comes at once, in less time than Argo CD takes for any password that it looks at."""
LATE = refusal(WRONG, took=0.2)
"""One that takes as long as a verdict, by the short timing of these tests (0.05 s)."""
LOST = Reply(raw=(b"HTTP/1.1 200 OK\r\n",))
DOWN = Reply(503, text="no healthy upstream")
NERVOUS = replace(QUICK, jitter=0.05)


def logged_in(
    script: list[Reply] | Reply,
    *,
    again: bool = True,
    versions: list[Reply] | Reply = ARGOCD,
    seconds: float = 5.0,
    timing: Timing = QUICK,
    username: str = "admin",
) -> tuple[str | AuthError, Served]:
    with serving({VERSION: versions, LOGIN: script}) as served, client(served, seconds, timing) as argocd:
        try:
            return argocd.login(username, "canary", again_in_doubt=again), served
        except AuthError as e:
            error = e
    assert "canary" not in f"{error.problem}{error.remedy}{error!r}"
    return error, served


def sends(served: Served) -> int:
    return served.lines().count(LOGIN)


def test_the_right_password_is_sent_once_to_what_has_shown_to_be_argocd() -> None:
    session, served = logged_in(GOOD)
    assert session == "session"
    assert served.lines() == [VERSION, LOGIN]
    assert served.asked[1].body == {"username": "admin", "password": "canary"}


def test_who_has_just_asked_for_the_version_need_not_again() -> None:
    with serving({VERSION: ARGOCD, LOGIN: GOOD}) as served, client(served) as argocd:
        argocd.version()
        argocd.login("admin", "pw", again_in_doubt=False)
        argocd.login("admin", "pw", again_in_doubt=False)
        assert served.lines() == [VERSION, LOGIN, VERSION, LOGIN]


@pytest.mark.parametrize("version", [Reply(text="<html>Sign in"), Reply(json={}), Reply(json=[])])
def test_no_password_goes_to_what_is_not_argocd(version: Reply) -> None:
    error, served = logged_in(GOOD, versions=version)
    assert isinstance(error, WrongServerError)
    assert served.lines() == [VERSION]


@pytest.mark.parametrize("again", [True, False])
def test_a_wrong_password_is_sent_once(again: bool) -> None:
    error, served = logged_in(LATE, again=again)
    assert isinstance(error, LoginRefusedError)
    assert (error.sends, sends(served), error.exit_code) == (1, 1, 77)
    assert error.problem == (
        f"Argo CD at {served.url} refuses the login of account admin: the password is wrong, the account does not"
        " exist, or it is locked for 5 minutes after 5 failed logins (Argo CD uses the same words for all three)."
    )
    assert error.remedy == (
        "Wait 5 minutes, try the password once with argocd login --username admin, put the right one in the Secret or"
        " values, and run helm upgrade --install again."
    )


def test_who_must_not_send_again_does_not_look_at_the_times_either() -> None:
    _, served = logged_in(LATE, again=False)
    assert served.lines() == [VERSION, LOGIN]


def test_a_refusal_that_is_too_fast_for_a_verdict_counts_nothing() -> None:
    session, served = logged_in([FAST] * 7 + [GOOD], again=False)
    assert (session, sends(served)) == ("session", 8)
    assert served.lines() == [VERSION, LOGIN] * 8


def test_a_crowd_that_stays_until_the_deadline_is_told() -> None:
    error, served = logged_in(FAST, seconds=0.6, again=False)
    assert isinstance(error, TemporaryError)
    assert not error.sent
    assert error.problem.endswith(f"Argo CD at {served.url} has too many logins in flight.")
    assert sends(served) > 2


def test_in_a_crowd_a_late_refusal_is_in_doubt_once() -> None:
    error, served = logged_in([FAST, LATE, LATE, GOOD])
    assert isinstance(error, LoginRefusedError)
    assert (error.sends, sends(served)) == (2, 3)
    session, served = logged_in([FAST, LATE, GOOD])
    assert (session, sends(served)) == ("session", 3)


def test_in_a_crowd_without_leave_a_late_refusal_is_final() -> None:
    error, served = logged_in([FAST, LATE, GOOD], again=False)
    assert isinstance(error, LoginRefusedError)
    assert (error.sends, sends(served)) == (1, 2)


def test_the_pause_in_doubt_lets_an_overload_pass(caplog: pytest.LogCaptureFixture) -> None:
    timing = replace(QUICK, overload_passes=0.1)
    with caplog.at_level(logging.INFO):
        _, served = logged_in([FAST, LATE, GOOD], timing=timing)
    words = "Login: Argo CD may not have looked at the password; sending it once more in 0 s."
    assert words in [record.getMessage() for record in caplog.records]
    first, second = [asked.at for asked in served.asked if asked.line == LOGIN][1:]
    assert second - first >= 0.1


def test_the_pause_has_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    with serving() as served, client(served) as argocd, monkeypatch.context() as patch:
        patch.setattr(time, "sleep", pauses.append)
        assert all(argocd._logins._pause() for _ in range(10))
    assert QUICK.overload_passes <= min(pauses) < max(pauses) <= 1.3 * QUICK.overload_passes


@pytest.mark.parametrize(
    ("pause", "verdict"), [(2.0, 0.05), (0.5, 0.8)], ids=["for the pause", "for the verdict after it"]
)
def test_in_doubt_without_time_for_it_the_password_is_not_sent_again(pause: float, verdict: float) -> None:
    timing = replace(QUICK, overload_passes=pause, fastest_verdict=verdict)
    late = refusal(WRONG, took=verdict + 0.15)
    error, served = logged_in([FAST, late, GOOD], seconds=2.0, timing=timing)
    assert isinstance(error, LoginRefusedError)
    assert (error.sends, sends(served)) == (1, 2)


def late(*took: float) -> list[Reply]:
    return [*(replace(ARGOCD, took=seconds) for seconds in took), ARGOCD]


def doubtful(seconds: float, probes: tuple[float, ...], timing: Timing) -> bool:
    """Whether a refusal after ``seconds`` is in doubt when the next harmless answers are so late."""
    with serving({VERSION: late(*probes)}) as served, client(served, timing=timing) as argocd:
        found = argocd._logins._is_doubtful(seconds)
        assert found or served.lines() == [VERSION] * 3
        return found


@pytest.mark.parametrize(
    ("seconds", "probes", "timing", "doubt"),
    [
        (0.05, (), QUICK, False),
        (0.049, (), QUICK, True),
        (0.14, (0.1, 0.1, 0.1), QUICK, True),  # less than a verdict after the time that the way takes
        (0.3, (0.1, 0.1, 0.1), QUICK, False),
        (0.14, (0.0, 0.1, 0.0), QUICK, True),
        (0.14, (0.0, 0.0, 0.1), QUICK, True),
        (9.0, (0.0, 0.1, 0.0), NERVOUS, True),  # times differ: they prove nothing
        (9.0, (0.0, 0.0, 0.1), NERVOUS, True),
        (9.0, (0.1, 0.0, 0.0), NERVOUS, True),
        (9.0, (0.1, 0.1, 0.1), NERVOUS, False),
        (0.7, (0.3, 0.3, 0.3), Timing(), True),  # with the shipped constants
        (9.0, (0.0, 0.3, 0.0), Timing(), True),
    ],
)
def test_probes_tell_whether_times_mean_anything(
    seconds: float, probes: tuple[float, ...], timing: Timing, doubt: bool
) -> None:
    assert doubtful(seconds, probes, timing) is doubt


def test_a_refusal_as_late_as_everything_else_is_sent_again() -> None:
    session, served = logged_in([LATE, GOOD], versions=[ARGOCD, *late(0.2)])
    assert session == "session"
    assert served.lines() == [VERSION, LOGIN, VERSION, VERSION, VERSION, VERSION, LOGIN]


def test_a_slow_first_answer_is_no_doubt() -> None:
    """A cold connection through an ingress says nothing about the login after it."""
    versions = late(0.25)
    error, served = logged_in(LATE, versions=versions, timing=NERVOUS)
    assert isinstance(error, LoginRefusedError)
    assert sends(served) == 1


@pytest.mark.parametrize("probe", [DOWN, Reply(text="<html>")])
def test_a_probe_that_fails_is_doubt(probe: Reply) -> None:
    session, served = logged_in([LATE, GOOD], versions=[ARGOCD, probe, ARGOCD])
    assert (session, sends(served)) == ("session", 2)


@pytest.mark.parametrize(("took", "sent"), [(0.49, 2), (0.5, 1)])
def test_with_the_shipped_times(took: float, sent: int) -> None:
    """0.5 s tell a verdict from a refusal that came at once."""
    timing = Timing(first_retry=0.01)
    result, served = logged_in([refusal(WRONG, took=took), GOOD], timing=timing, again=True)
    assert sends(served) == sent
    assert (result == "session") is (sent == 2)


@pytest.mark.parametrize(("seconds", "counted"), [(0.49, 0), (0.5, 1), (0.51, 1)])
def test_half_a_second_is_the_fastest_verdict(seconds: float, counted: int) -> None:
    refused = KeyRefusedError("x.", "y.", refusal=Refusal.AMBIGUOUS_LOGIN, seconds=seconds)
    with serving() as served, client(served, timing=Timing()) as argocd:
        try:
            argocd._logins._judge(refused, "admin")
        except TemporaryError as e:
            assert not e.sent  # noqa: PT017
            assert e.remedy == "Try again in a minute."  # noqa: PT017
        assert argocd._logins._sends["admin"] == counted
        assert argocd._logins._crowded is (counted == 0)


def test_the_shipped_jitter_and_pause() -> None:
    assert (Timing().fastest_verdict, Timing().jitter, Timing().overload_passes) == (0.5, 0.1, 15.0)


# What brings no answer.


@pytest.mark.parametrize("lost", [LOST, DOWN, Reply(504, text="x"), Reply(524, text="x")])
@pytest.mark.parametrize("again", [True, False])
def test_logins_without_an_answer_are_sent_twice_at_most(lost: Reply, again: bool) -> None:
    error, served = logged_in([lost, lost, GOOD], again=again)
    assert isinstance(error, LoginUnansweredError)
    most = 2 if again else 1
    assert (error.sends, sends(served), error.exit_code) == (most, most, 75)
    logins = "2 logins" if again else "a login"
    words = f"Argo CD at {served.url} may have refused {logins} of account admin without an answer: Argo CD at "
    assert error.problem.startswith(words)
    assert error.problem.count("may have refused") == 1
    assert error.remedy == (
        "Make sure that Argo CD is ready, wait 5 minutes, and try again: more attempts could lock the account."
    )


def test_one_login_without_an_answer_is_made_good_by_the_next() -> None:
    session, served = logged_in([LOST, GOOD])
    assert session == "session"
    assert served.lines() == [VERSION, LOGIN, VERSION, LOGIN]


def test_the_next_login_waits_until_argocd_is_there_again() -> None:
    session, served = logged_in([DOWN, GOOD], versions=[ARGOCD, DOWN, DOWN, DOWN, ARGOCD])
    assert session == "session"
    assert served.lines() == [VERSION, LOGIN, VERSION, VERSION, VERSION, VERSION, LOGIN]


def test_no_answer_and_a_refusal_share_one_budget() -> None:
    error, served = logged_in([LOST, LATE, GOOD])
    assert isinstance(error, LoginRefusedError)
    assert (error.sends, sends(served)) == (2, 2)
    error, served = logged_in([FAST, LATE, LOST, GOOD])
    assert isinstance(error, LoginUnansweredError)
    assert (error.sends, sends(served)) == (2, 3)


def test_what_was_certainly_not_taken_counts_nothing() -> None:
    session, served = logged_in([Reply(429, text="slow")] * 4 + [GOOD], again=False)
    assert (session, sends(served)) == ("session", 5)


@pytest.mark.parametrize("versions", [[ARGOCD, DOWN], [ARGOCD, Reply(text="<html>")]])
def test_what_goes_wrong_after_a_login_without_an_answer_keeps_the_count(versions: list[Reply]) -> None:
    error, served = logged_in([LOST, GOOD], versions=versions, seconds=0.3)
    assert isinstance(error, LoginUnansweredError)
    assert (error.sends, sends(served)) == (1, 1)
    assert error.problem.endswith(("(HTTP 503).", "not with Argo CD's API."))


def test_a_crowd_after_a_login_without_an_answer_keeps_the_count() -> None:
    error, _served = logged_in([LOST, FAST], seconds=0.4)
    assert isinstance(error, LoginUnansweredError)
    assert error.sends == 1
    assert error.problem.endswith("has too many logins in flight.")


def test_a_login_may_take_until_the_deadline() -> None:
    slow = Reply(json={"token": "session"}, delay=0.3)
    timing = replace(QUICK, request=0.15)
    assert logged_in(slow, timing=timing)[0] == "session"


def test_a_login_that_lasts_beyond_the_deadline_is_unanswered() -> None:
    error, served = logged_in(Reply(json={"token": "session"}, delay=2.0), seconds=0.3)
    assert isinstance(error, LoginUnansweredError)
    assert (error.sends, sends(served)) == (1, 1)


def test_no_password_is_sent_when_there_is_no_time_for_a_verdict() -> None:
    patient = replace(QUICK, fastest_verdict=0.5)
    error, served = logged_in(GOOD, seconds=0.95, timing=patient)
    assert isinstance(error, TemporaryError)
    assert (error.problem, error.remedy) == ("There is no time left for a login.", "Try again in a minute.")
    assert (error.sent, sends(served)) == (False, 0)
    assert logged_in(GOOD, seconds=1.4, timing=patient)[0] == "session"


def test_that_there_is_no_time_left_hides_no_crowd() -> None:
    with serving() as served, client(served, 0.05) as argocd:
        argocd._logins._crowded = True
        with pytest.raises(TemporaryError) as late:
            argocd.login("admin", "pw", again_in_doubt=False)
        assert sends(served) == 0
    crowd = f"Argo CD at {served.url} has too many logins in flight."
    assert late.value.problem == f"There is no time left for a login: {crowd}"


def test_without_a_password_sent_no_error_says_so() -> None:
    """A request for the version may have been sent; whoever keeps count of passwords must not be told of one."""
    error, served = logged_in(GOOD, versions=DOWN, seconds=0.1)
    assert isinstance(error, TemporaryError)
    assert (error.sent, sends(served)) == (False, 0)
    with closed_port() as port, client(Served(port, False, {}), 0.05) as argocd:
        with pytest.raises(UnreachableError) as nobody:
            argocd.login("admin", "pw", again_in_doubt=True)
        assert not nobody.value.sent


def test_a_gateways_failure_may_have_cost_a_login() -> None:
    error, served = logged_in([Reply(500, text="<html>"), GOOD])
    assert isinstance(error, LoginUnansweredError)
    assert (error.sends, sends(served)) == (1, 1)


def test_argocds_own_failure_did_not() -> None:
    error, served = logged_in([refusal("cannot parse argocd-secret", 500, 2), GOOD])
    assert isinstance(error, AnswerError)
    assert not isinstance(error, LoginUnansweredError)
    assert (error.status, sends(served)) == (500, 1)


# What says more than "wrong".


@pytest.mark.parametrize(
    ("words", "meant", "told"),
    [
        ("Account admin is disabled", Refusal.ACCOUNT_DISABLED, "is disabled"),
        ("Account admin does not have login capability", Refusal.NO_LOGIN_CAPABILITY, "may not log in"),
    ],
)
def test_the_right_password_of_an_account_that_may_not_log_in(words: str, meant: Refusal, told: str) -> None:
    error, served = logged_in(refusal(words, took=0.06))
    assert isinstance(error, KeyRefusedError)
    assert (error.refusal, sends(served)) == (meant, 1)
    assert error.problem == f"Argo CD at {served.url} knows the password, but account admin {told}."
    assert error.remedy == "Enable account admin and its login capability in ConfigMap argocd-cm."
    assert error.seconds == 0.06


def test_the_right_password_after_a_lost_login_is_known_to_be_right() -> None:
    logins = [LOST, refusal("Account admin is disabled"), LATE]
    with serving({VERSION: ARGOCD, LOGIN: logins}) as served, client(served) as argocd:
        with pytest.raises(KeyRefusedError):
            argocd.login("admin", "pw", again_in_doubt=True)
        with pytest.raises(LoginRefusedError) as refused:
            argocd.login("admin", "pw", again_in_doubt=False)
        assert refused.value.sends == 1


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (refusal("Username is too long (32 bytes max)", 400, 3), "it says that the user name is not valid"),
        (refusal("no credentials supplied"), "the password is blank"),
    ],
)
def test_a_form_that_is_not_valid_is_refused_and_counts_nothing(reply: Reply, why: str) -> None:
    error, served = logged_in([reply, GOOD])
    assert isinstance(error, LoginRefusedError)
    assert (error.sends, sends(served)) == (0, 1)
    assert error.problem == f"Argo CD at {served.url} refuses the login of account admin: {why}."


@pytest.mark.parametrize(
    "reply", [Reply(401, text="<html>"), Reply(401, json={"message": "Unauthorized"}), Reply(403, text="RBAC: denied")]
)
def test_a_gateways_words_are_no_verdict_on_the_password(reply: Reply) -> None:
    error, served = logged_in([reply, GOOD])
    assert isinstance(error, WrongServerError)
    assert "says nothing about the password" in error.problem
    assert sends(served) == 1


@pytest.mark.parametrize("words", ["no session information", "invalid session: x"])
def test_words_for_another_request_are_no_verdict_either(words: str) -> None:
    error, served = logged_in([refusal(words, took=0.06), GOOD])
    assert isinstance(error, WrongServerError)
    assert error.problem.startswith(f"Argo CD at {served.url} answers the login as if it were another request (")
    assert error.problem.endswith("), which says nothing about the password.")
    assert error.remedy == "See which proxies are in front of Argo CD, and the log of argocd-server."
    assert sends(served) == 1


def test_a_success_without_a_token_is_not_argocds() -> None:
    error, _ = logged_in(Reply(json={}))
    assert isinstance(error, WrongServerError)


# Several logins of one run.


def test_a_success_wipes_the_count() -> None:
    with serving({VERSION: ARGOCD, LOGIN: [LOST, GOOD, LOST, GOOD, LATE]}) as served, client(served) as argocd:
        assert argocd.login("admin", "pw", again_in_doubt=True) == "session"
        assert argocd.login("admin", "pw", again_in_doubt=True) == "session"
        with pytest.raises(LoginRefusedError) as refused:
            argocd.login("admin", "pw", again_in_doubt=True)
        assert refused.value.sends == 1
        assert sends(served) == 5


def test_what_was_unclear_about_one_login_counts_for_the_next() -> None:
    with serving({VERSION: ARGOCD, LOGIN: [LOST, LOST, LATE]}) as served, client(served) as argocd:
        for error, count in ((LoginUnansweredError, 1), (LoginUnansweredError, 2), (LoginRefusedError, 3)):
            with pytest.raises(error) as refused:
                argocd.login("admin", "pw", again_in_doubt=False)
            assert refused.value.sends == count  # type: ignore[attr-defined]
        with pytest.raises(LoginRefusedError) as other:
            argocd.login("operator", "pw", again_in_doubt=False)
        assert other.value.sends == 1
        assert sends(served) == 4


def test_what_was_certainly_not_taken_is_sent_again_after_an_unclear_login_too() -> None:
    slow = Reply(429, text="slow")
    with serving({VERSION: ARGOCD, LOGIN: [LOST, slow, GOOD]}) as served, client(served) as argocd:
        with pytest.raises(LoginUnansweredError):
            argocd.login("admin", "pw", again_in_doubt=False)
        assert argocd.login("admin", "pw", again_in_doubt=False) == "session"
        assert sends(served) == 3


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x" * 33, "is longer than the 32 bytes that Argo CD allows"),
        ("ü" * 17, "is longer than the 32 bytes that Argo CD allows"),
        ("me@example.com", "is an e-mail address, which only users of single sign-on have: they have no password in"),
        ("with blank", "has characters that no account name of Argo CD can have"),
        ("team.robot", "has characters that no account name of Argo CD can have"),
        ("a/b", "has characters that no account name of Argo CD can have"),
        ("a:b", "has characters that no account name of Argo CD can have"),
        ("", "has characters that no account name of Argo CD can have"),
        ("é", "has characters that no account name of Argo CD can have"),
    ],
)
def test_a_name_that_no_account_can_have_is_refused_before_anything_is_sent(name: str, why: str) -> None:
    error, served = logged_in(GOOD, username=name)
    assert isinstance(error, ConfigurationError)
    assert error.problem.startswith(f'The user name "{name}" {why}')
    assert error.remedy == "Set auth.username to a local account of Argo CD: argocd account list shows them."
    assert served.asked == []


@pytest.mark.parametrize("name", ["x" * 32, "a-b_cD9"])
def test_a_name_that_an_account_can_have_is_sent(name: str) -> None:
    session, served = logged_in(GOOD, username=name)
    assert session == "session"
    assert served.asked[1].body["username"] == name


def test_an_endpoint_with_a_path_is_logged_in_below_it() -> None:
    with serving() as served:
        served.replies.update({"GET /argocd/api/version": [ARGOCD], "POST /argocd/api/v1/session": [GOOD]})
        with client(served, endpoint=Endpoint(f"{served.url}/argocd")) as argocd:
            assert argocd.login("admin", "pw", again_in_doubt=False) == "session"
