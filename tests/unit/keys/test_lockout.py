"""The record of a refused password: whom it stops, for how long, and that nothing that stands in it can do harm."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_runtime_auth.errors import AuthError, LoginRefusedError, LoginUnansweredError
from gitops_runtime_auth.keys import lockout
from gitops_runtime_auth.keys.lockout import Block, Login, Record, Verdict
from gitops_runtime_auth.timing import Timing
from tests.fakes.fuzz import JSON
from tests.fakes.world import cheap_scrypt

LOGIN = Login("https://argocd", "runtime", "canary")
NOW = 1_800_000_000.0
TIMING = Timing()


def record(**fields: Any) -> Record:
    """A record of LOGIN that was refused once, just now."""
    with cheap_scrypt():
        made = Record("c2FsdA==", lockout._hash(LOGIN, b"salt"), NOW, 1, "refused")
    return replace(made, **fields)


def seconds(kept: Record | None, *, hook: bool, login: Login = LOGIN, now: float = NOW) -> float:
    """For how long the login is not sent, 0 when it may be."""
    with cheap_scrypt():
        why = lockout.block(kept, login, now, TIMING, hook=hook)
    return why.seconds if why else 0.0


@pytest.mark.parametrize(
    ("fields", "hook", "wanted"),
    [
        ({}, True, 330),
        ({}, False, 330),
        ({"refusals": 2}, True, 330),
        ({"refusals": 2}, False, 660),
        ({"refusals": 3}, False, 1320),
        ({"refusals": 9}, False, 3600),
        ({"refusals": 10**9}, False, 3600),
        ({"verdict": "unclear"}, True, 0),
        ({"verdict": "unclear", "sends": 2}, True, 330),
        ({"verdict": "unclear"}, False, 330),
        ({"at": NOW - 329}, True, 1),
        ({"at": NOW - 330}, True, 0),
        ({"at": NOW + 60}, True, 330),
        ({"at": NOW + 61}, True, 0),
        ({"at": NOW - 331, "refusals": 2}, False, 329),
    ],
)
def test_how_long_a_login_waits(fields: dict[str, Any], hook: bool, wanted: float) -> None:
    """The hook sends an unclear one once more; the keeper, which nobody watches, waits twice as long each time."""
    assert seconds(record(**fields), hook=hook) == wanted


@pytest.mark.parametrize("other", [{"url": "https://x"}, {"account": "admin"}, {"password": "Canary"}])
def test_another_login_does_not_wait(other: dict[str, str]) -> None:
    assert seconds(record(), hook=False, login=replace(LOGIN, **other)) == 0


def test_without_a_record_nobody_waits() -> None:
    assert seconds(None, hook=False) == 0


@pytest.mark.parametrize("hook", [True, False])
def test_a_record_from_the_future_stops_nobody_for_ever(hook: bool) -> None:
    """Argo CD's clock was wrong for a while, by years."""
    assert seconds(record(at=NOW + 1e8), hook=hook) == 0


@pytest.mark.parametrize(
    ("verdict", "kind", "problem", "remedy"),
    [
        (
            "unclear",
            LoginUnansweredError,
            "A login of account runtime at Argo CD https://argocd is under way, or was not answered. It is not sent"
            " again for 12 s.",
            "Make sure that Argo CD is ready; more attempts could lock the account.",
        ),
        (
            "refused",
            LoginRefusedError,
            "Argo CD at https://argocd refused the password of account runtime a moment ago. It is not sent again for"
            " 12 s, because five refusals lock the account.",
            "Put the right password into its Secret or the values and try again: another password is sent at once. If"
            " this one is right and the account was locked, wait 12 s.",
        ),
    ],
)
def test_why_a_login_waits_is_told_and_that_nothing_was_sent(
    verdict: Verdict, kind: type[AuthError], problem: str, remedy: str
) -> None:
    error = lockout.refused(LOGIN, Block(verdict, 12.3))
    assert isinstance(error, LoginRefusedError | LoginUnansweredError)
    assert (type(error), error.problem, error.remedy, error.sends) == (kind, problem, remedy, 0)


def test_what_is_written_can_be_read() -> None:
    assert lockout.parse(json.dumps(asdict(record()))) == record()


ODD: list[Any] = [None, "", "ü", "1", [], {}, True, -1, -(10**400), 10**400, 1e308, float("nan"), float("inf")]


@pytest.mark.parametrize("name", ["salt", "hash", "at", "sends", "verdict", "refusals", "more"])
def test_an_odd_value_stops_nobody_longer_than_an_hour(name: str) -> None:
    """Whoever may edit ConfigMaps of the namespace may write anything."""
    for value in ODD:
        kept = lockout.parse(json.dumps(asdict(record()) | {name: value}))
        assert 0 <= seconds(kept, hook=False) <= TIMING.longest_lockout
        assert 0 <= seconds(kept, hook=True) <= TIMING.lockout


@pytest.mark.parametrize("name", ["sends", "refusals"])
def test_what_counts_in_parts_is_no_record(name: str) -> None:
    assert lockout.parse(json.dumps(asdict(record()) | {name: 1.5})) is None


@given(st.text() | JSON.map(json.dumps))
def test_what_is_no_record_is_none(text: str) -> None:
    assert lockout.parse(text) is None


def test_no_password_is_in_a_repr() -> None:
    assert "canary" not in repr(LOGIN)
    assert "canary" not in repr(record())
