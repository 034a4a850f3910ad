"""Retries: what is tried again, how long, and that the deadline holds."""

import time
from email.utils import formatdate

import pytest

from gitops_runtime_auth.errors import (
    AnswerError,
    ConfigurationError,
    LoginRefusedError,
    TemporaryError,
    UnreachableError,
)
from gitops_runtime_auth.retry import Deadline, asked_to_wait, retry
from gitops_runtime_auth.timing import Timing
from tests.fakes import LONG, SOON

SHORT = Timing(first_retry=0.01, longest_retry=0.02)


@pytest.mark.parametrize("error", [UnreachableError("p", "r"), TemporaryError("p", "r")])
def test_what_can_heal_is_tried_again(error: Exception) -> None:
    left = [error, error]

    def attempt() -> str:
        if left:
            raise left.pop()
        return "done"

    assert retry(Deadline(5), "it", attempt, SHORT) == "done"


@pytest.mark.parametrize(
    "error",
    [
        LoginRefusedError("p", "r", sends=1),
        ConfigurationError("p", "r"),
        AnswerError("p", "r", status=500, code=2),
        ValueError("x"),
    ],
)
def test_nothing_else_is(error: Exception) -> None:
    calls = []

    def attempt() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        retry(Deadline(5), "it", attempt, SHORT)
    assert calls == [1]


def test_the_deadline_ends_it_with_the_last_error() -> None:
    def attempt() -> None:
        raise UnreachableError("p", "r")

    began = time.monotonic()
    with pytest.raises(UnreachableError):
        retry(Deadline(0.1), "it", attempt, SHORT)
    assert time.monotonic() - began < SOON


def test_a_wait_that_the_server_asks_for_is_kept() -> None:
    left = [TemporaryError("p", "r", retry_after=0.1)]

    def attempt() -> None:
        if left:
            raise left.pop()

    began = time.monotonic()
    retry(Deadline(5), "it", attempt, SHORT)
    assert time.monotonic() - began >= 0.1


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    def attempt() -> None:
        raise TemporaryError("p", "r", retry_after=2 * LONG)

    began = time.monotonic()
    with pytest.raises(TemporaryError):
        retry(Deadline(LONG), "it", attempt, SHORT)
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("header", ["", "soon", "-1", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 2015"])
def test_nonsense_and_the_past_ask_for_no_wait(header: str) -> None:
    assert asked_to_wait(header) == 0


def test_a_wait_is_asked_for_in_seconds_or_by_a_date() -> None:
    assert asked_to_wait("120") == 120
    assert 100 < asked_to_wait(formatdate(time.time() + 120, usegmt=True)) <= 120
    assert asked_to_wait("9" * 400) == 86400


def test_pauses_grow_and_stay_below_their_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    timing = Timing(first_retry=1.0, longest_retry=8.0)
    left = [UnreachableError("p", "r")] * 6

    def attempt() -> None:
        if left:
            raise left.pop()

    retry(Deadline(3600), "it", attempt, timing)
    assert len(pauses) == 6
    for pause, ceiling in zip(pauses, (1, 2, 4, 8, 8, 8), strict=True):
        assert ceiling / 4 <= pause <= ceiling


def test_a_shorter_deadline_is_never_longer_than_the_whole() -> None:
    whole = Deadline(1000)
    assert 500 - LONG < whole.at_most(500).left() <= 500
    assert 1000 - LONG < whole.at_most(5000).left() <= 1000
    assert Deadline(0).left() == 0
