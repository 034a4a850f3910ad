"""Retries: what is tried again, how long, and that the deadline holds."""

import time
from email.utils import formatdate

import pytest

from gitops_runtime_auth import retry
from gitops_runtime_auth.errors import (
    AnswerError,
    ConfigurationError,
    LoginRefusedError,
    TemporaryError,
    UnreachableError,
)
from gitops_runtime_auth.retry import Deadline, retry


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(retry, "_LONGEST_WAIT", 0.02)


@pytest.mark.parametrize("error", [UnreachableError("p", "r"), TemporaryError("p", "r")])
def test_what_can_heal_is_tried_again(error: Exception) -> None:
    left = [error, error]

    def attempt() -> str:
        if left:
            raise left.pop()
        return "done"

    assert retry(Deadline(5), "it", attempt) == "done"


@pytest.mark.parametrize(
    "error",
    [
        LoginRefusedError("p", "r"),
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
        retry(Deadline(5), "it", attempt)
    assert calls == [1]


def test_the_deadline_ends_it_with_the_last_error() -> None:
    def attempt() -> None:
        raise UnreachableError("p", "r")

    began = time.monotonic()
    with pytest.raises(UnreachableError):
        retry(Deadline(0.3), "it", attempt)
    assert time.monotonic() - began < 0.4


def test_a_wait_that_the_server_asks_for_is_kept() -> None:
    left = [TemporaryError("p", "r", retry_after=0.3)]

    def attempt() -> None:
        if left:
            raise left.pop()

    began = time.monotonic()
    retry(Deadline(5), "it", attempt)
    assert time.monotonic() - began >= 0.3


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    def attempt() -> None:
        raise TemporaryError("p", "r", retry_after=60)

    began = time.monotonic()
    with pytest.raises(TemporaryError):
        retry(Deadline(1), "it", attempt)
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("header", ["", "soon", "-1", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 2015"])
def test_nonsense_and_the_past_ask_for_no_wait(header: str) -> None:
    assert retry.asked_to_wait(header) == 0


def test_a_wait_is_asked_for_in_seconds_or_by_a_date() -> None:
    assert retry.asked_to_wait("120") == 120
    assert 100 < retry.asked_to_wait(formatdate(time.time() + 120, usegmt=True)) <= 120
    assert retry.asked_to_wait("9" * 400) == retry._LONGEST_ASKED
