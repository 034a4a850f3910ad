"""The process' last net: whatever happens in a command, an exit code of the list, two sentences, no credential."""

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_runtime_auth import __main__ as program
from gitops_runtime_auth import cli, context, errors, retry
from gitops_runtime_auth.argocd import login
from tests.unit.fakes.fuzz import FAILURES, JSON
from tests.unit.fakes.world import World

CANARY = "canary-Zm9vYmFy"
TEXT = st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp"]), max_size=40)
"""What a name or an address may hold: lone surrogates too, which JSON's escapes make and UTF-8 can't hold."""


@pytest.fixture(scope="module", autouse=True)
def _own() -> Iterator[None]:
    """A termination log of its own, no waiting, and no cluster of whoever runs this."""
    patch = pytest.MonkeyPatch()
    with tempfile.NamedTemporaryFile() as log:
        patch.setattr(program, "TERMINATION_LOG", Path(log.name))
        patch.setattr(retry, "_FIRST_WAIT", 9.0)
        patch.setattr(login, "FASTEST_VERDICT", 0.0)
        yield
        patch.undo()


def said(argv: Sequence[str], do: Callable[[Sequence[str]], int] | None = None) -> tuple[int, str, str]:
    """Run ``argv``, or ``do`` in the place of a command; return exit code, log (or table) and termination message."""
    program.TERMINATION_LOG.write_text("")
    # As Python opens standard error: whatever it is given, it writes something.
    log = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    patch = pytest.MonkeyPatch()
    if do:
        patch.setattr(cli, "run", do)
    try:
        with redirect_stderr(log), redirect_stdout(io.StringIO()) as table:
            code = program.main(argv)
    finally:
        patch.undo()
    log.seek(0)
    return code, log.read() or table.getvalue(), program.TERMINATION_LOG.read_text(encoding="utf-8")


def _plain(line: str) -> str:
    """Commands that run on log JSON."""
    fields = json.loads(line)
    return f"{fields['level'].upper()}: {fields['message']}"


def explained(code: int, log: str, last: str) -> None:
    """Assert the same of whatever ran: ``check`` says what is wrong in its table."""
    assert "not made for" not in log
    if "Not ready: " in log:
        assert code in FAILURES
        assert "What to do\n" in log
    elif code:
        two_sentences(code, log, last)


def two_sentences(code: int, log: str, last: str) -> None:
    assert code in FAILURES
    assert "Traceback" not in log
    lines = log.splitlines()
    *_, problem, remedy = (_plain(line) if line.startswith("{") else line for line in lines)
    assert problem.startswith("ERROR: ")
    assert remedy.startswith("ERROR: What to do: ")
    assert (problem[-1], remedy[-1]) == (".", ".")
    assert len(last.splitlines()) == 2


def subclasses(kind: type[errors.AuthError]) -> Iterator[type[errors.AuthError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


KINDS = st.sampled_from(sorted(set(subclasses(errors.AuthError)), key=lambda kind: kind.__name__))
MORE: dict[type[errors.AuthError], dict[str, Any]] = {
    errors.KeyRefusedError: {"reason": ""},
    errors.AnswerError: {"status": 418, "code": -1},
    errors.UnreachableError: {"sent": True},
}


@given(KINDS, TEXT, TEXT)
def test_any_error_of_the_list(kind: type[errors.AuthError], problem: str, remedy: str) -> None:
    """Texts hold what users and servers write: names, addresses, reasons."""

    def fail(_: Sequence[str]) -> int:
        raise kind(f"It fails: {problem}.", f"Mend {remedy}.", **MORE.get(kind, {}))

    two_sentences(*said([], fail))


@given(TEXT)
def test_any_exception_that_nobody_thought_of(text: str) -> None:
    def fail(_: Sequence[str]) -> int:
        raise type(f"Odd{len(text)}Error", (Exception,), {})(text)

    code, log, last = said([], fail)
    two_sentences(code, log, last)
    assert code == os.EX_TEMPFAIL


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(f"password {CANARY}"),
        KeyError(CANARY),
        OSError(2, CANARY, CANARY),
        UnicodeEncodeError("utf-8", CANARY, 0, 1, CANARY),
        ExceptionGroup(CANARY, [ValueError(CANARY)]),
        RecursionError(CANARY),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_credential_comes_out_with_an_exception_that_nobody_thought_of(error: Exception) -> None:
    def fail(_: Sequence[str]) -> int:
        password = CANARY
        try:
            raise ValueError(password)
        except ValueError as cause:
            error.add_note(password)
            raise error from cause

    code, log, last = said(["ensure"], fail)
    assert code == os.EX_TEMPFAIL
    assert CANARY not in log + last
    two_sentences(code, log, last)
    assert f"{type(error).__name__} at test_main.py:" in log


COMMANDS = ["ensure", "retire", "cleanup", "keep", "verify", "agent", "check", "completion", "bash", "nothing"]
FLAGS = ["--set", "--set-string", "-f", "--server", "--timeout", "-o", "--release", "--port", "--deployments"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_outside_a_pod(command: str) -> None:
    """Only cleanup, which must never fail an uninstall, ends well."""
    code, log, last = said([command, *(["--kubeconfig", "/nonexistent"] if command == "check" else [])])
    assert (code == 0) == (command == "cleanup")
    explained(code, log, last)


@given(st.lists(st.sampled_from([*COMMANDS, *FLAGS]) | TEXT, max_size=5))
def test_any_command_line_outside_a_pod(argv: list[str]) -> None:
    arguments = ["check", "--kubeconfig", "/nonexistent", *argv[1:]] if argv[:1] == ["check"] else argv
    try:
        code, log, last = said(arguments)
    except SystemExit as e:  # --help
        assert e.code == 0  # noqa: PT017
        return
    explained(code, log, last)


BODY = st.binary(max_size=60) | JSON.map(lambda o: str(o).encode("utf-8", "replace"))
WORDS = st.fixed_dictionaries(
    {}, optional={"message": TEXT, "error": TEXT, "token": TEXT | JSON, "code": JSON, "Version": TEXT, "name": TEXT}
)
ANSWERS = st.lists(
    st.tuples(
        st.sampled_from([200, 200, 302, 400, 401, 403, 404, 500, 503]),
        BODY | WORDS.map(lambda o: json.dumps(o).encode()),
        st.fixed_dictionaries({}, optional={"Location": st.sampled_from(["https://b/\u00e9", "x", "//"])}),
    ),
    min_size=1,
    max_size=4,
)


@given(ANSWERS)
def test_an_argocd_that_answers_anything(answers: list[tuple[int, bytes, dict[str, str]]]) -> None:
    """The whole command: an answer for each request, the last one for all that follow."""
    left = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        status, content, headers = left.pop(0) if len(left) > 1 else left[0]
        return httpx.Response(status, content=content, headers=headers)

    patch = pytest.MonkeyPatch()
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), seconds=0.0)
        patch.setattr(world.argocd, "answer", answer)
        patch.setattr(context, "from_environment", world.context)
        try:
            code, log, last = said(["ensure"])
        finally:
            patch.undo()
    assert code != 0, "no such Argo CD makes keys"
    two_sentences(code, log, last)
    assert "not made for" not in log
    assert world.argocd.accounts["admin"].password not in log + last
