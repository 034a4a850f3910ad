"""The end of every run: whatever happens in a command, an exit code of the list, two sentences, no credential."""

import gc
import io
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitops_runtime_auth import __main__ as program
from gitops_runtime_auth import cli, errors, termination
from gitops_runtime_auth.timing import Timing
from tests.fakes import signal_asleep
from tests.fakes.world import World

CANARY = "canary-Zm9vYmFy"
FAILURES = {64, 69, 75, 77, 78}
TEXT = st.text(max_size=40)
"""What a name or an address may hold: control characters and half characters too."""
HASTE = Timing(first_retry=9.0)


@pytest.fixture(scope="module", autouse=True)
def last_words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The termination message's file of this module's runs."""
    patch = pytest.MonkeyPatch()
    file = tmp_path_factory.mktemp("main") / "termination-log"
    patch.setattr(program, "TERMINATION_LOG", file)
    yield file
    patch.undo()


def said(argv: Sequence[str], do: Callable[[Sequence[str], Timing], int] | None = None) -> tuple[int, str, str]:
    """Run ``argv``, or ``do`` in the place of a command; return exit code, log (or output) and termination message."""
    program.TERMINATION_LOG.write_text("")
    # As Python opens standard error: whatever it is given, it writes something.
    log = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    patch = pytest.MonkeyPatch()
    if do:
        patch.setattr(cli, "run", do)
    try:
        with redirect_stderr(log), redirect_stdout(io.StringIO()) as table:
            code = program.main(argv, HASTE)
    finally:
        patch.undo()
    log.seek(0)
    return code, log.read() or table.getvalue(), program.TERMINATION_LOG.read_text(encoding="utf-8")


def _plain(line: str) -> str:
    """Commands that run on log JSON."""
    fields = json.loads(line)
    return f"{fields['level'].upper()}: {fields['message']}"


def two_sentences(log: str, last: str) -> None:
    assert "Traceback" not in log
    *_, problem, remedy = (_plain(line) if line.startswith("{") else line for line in log.splitlines())
    assert problem.startswith("ERROR: ")
    assert remedy.startswith("ERROR: What to do: ")
    assert (problem[-1], remedy[-1]) == (".", ".")
    assert last == f"{problem.removeprefix('ERROR: ')}\n{remedy.removeprefix('ERROR: What to do: ')}\n"


def failing(error: BaseException) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise error

    return fail


def subclasses(kind: type[errors.AuthError]) -> Iterator[type[errors.AuthError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


def made(kind: type[errors.AuthError], problem: str, remedy: str) -> errors.AuthError:
    """Make an error without the arguments that only its own kind has."""
    error = kind.__new__(kind)
    errors.AuthError.__init__(error, problem, remedy)
    return error


KINDS = st.sampled_from(sorted(set(subclasses(errors.AuthError)), key=lambda kind: kind.__name__))


@settings(max_examples=40)
@given(KINDS, TEXT, TEXT)
def test_any_error_of_the_list(kind: type[errors.AuthError], problem: str, remedy: str) -> None:
    """Texts hold what users and servers write: names, addresses, reasons."""
    what, how = problem.replace("\n", " "), remedy.replace("\n", " ")
    code, log, last = said([], failing(made(kind, f"It fails: {what}.", f"Mend {how}.")))
    two_sentences(log, last)
    assert code == kind.exit_code
    assert code in FAILURES
    assert log.replace("\n", "").isprintable()


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
def test_an_unexpected_error_is_named_by_type_and_place_and_shows_no_value(error: Exception) -> None:
    def fail(_: Sequence[str], __: Timing) -> int:
        password = CANARY
        try:
            raise ValueError(password)
        except ValueError as cause:
            error.add_note(password)
            raise error from cause

    code, log, last = said(["ensure"], fail)
    assert code == os.EX_TEMPFAIL
    assert CANARY not in log + last
    two_sentences(log, last)
    line = fail.__code__.co_firstlineno + 6
    assert f"Unexpected internal error: {type(error).__name__} in {__name__}:{line}, called from" in log
    assert "called from gitops_runtime_auth.__main__:" in log


def test_an_unexpected_error_in_the_package_itself_has_one_place() -> None:
    def fail(_: Sequence[str], __: Timing) -> int:
        cli._names(0)  # type: ignore[arg-type]
        return 0

    _, log, _ = said([], fail)
    assert "Unexpected internal error: AttributeError in gitops_runtime_auth.cli:" in log
    assert "called from" not in log


def test_without_a_termination_log_the_log_says_it_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = errors.UsageError("A problem.", "A remedy.")
    for place in (tmp_path / "none", tmp_path):  # a folder can't be written to
        monkeypatch.setattr(program, "TERMINATION_LOG", place)
        log = io.StringIO()
        monkeypatch.setattr(cli, "run", failing(error))
        with redirect_stderr(log):
            assert program.main([]) == 64
        assert log.getvalue() == "ERROR: A problem.\nERROR: What to do: A remedy.\n"
    assert not (tmp_path / "none").exists()


def test_what_ends_a_run_from_outside() -> None:
    code, log, last = said([], failing(termination.Terminated()))
    assert code == 143
    two_sentences(log, last)
    code, log, _ = said([], failing(KeyboardInterrupt()))
    assert (code, log) == (130, "")


@pytest.mark.parametrize(("ends", "code"), [(lambda _: 77, 77), (failing(termination.Terminated()), 143)])
def test_the_process_ends_with_the_code(
    monkeypatch: pytest.MonkeyPatch, ends: Callable[[Sequence[str]], int], code: int
) -> None:
    bounds: list[float] = []
    monkeypatch.setattr(termination, "raise_at_sigterm", bounds.append)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(program, "main", ends)
    with pytest.raises(SystemExit) as ended:
        program.run()
    assert (ended.value.code, bounds) == (code, [Timing().terminates])


def test_the_code_of_a_command_that_ends_well_is_its_own() -> None:
    assert said([], lambda _, __: 0) == (0, "", "")
    assert said([], lambda _, __: 3)[0] == 3


def test_the_timing_reaches_the_command() -> None:
    seen: list[tuple[Sequence[str], Timing]] = []

    def command(argv: Sequence[str], timing: Timing) -> int:
        seen.append((argv, timing))
        return 0

    said(["a", "b"], command)
    assert seen == [(["a", "b"], HASTE)]


COMMANDS = ["ensure", "retire", "cleanup", "keep", "verify", "agent", "completion", "bash", "nothing"]
"""All but check, which asks helm."""
FLAGS = ["--before-rollback", "--timeout", "--port", "--deployments", "--consumers", "--ca-file", "-o", "--version="]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_outside_a_pod(command: str) -> None:
    """Only what must never fail an uninstall, or an upgrade that is done, ends well."""
    code, log, last = said([command])
    assert (code == 0) == (command in ("cleanup", "retire"))
    assert "internal error" not in log
    if code:
        assert code in FAILURES
        two_sentences(log, last)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([*COMMANDS, *FLAGS]) | TEXT, max_size=5))
@example(["ensure", "\n"])
def test_any_command_line_outside_a_pod(argv: list[str]) -> None:
    try:
        code, log, last = said(argv)
    except SystemExit as e:  # --help
        assert e.code == 0  # noqa: PT017
        return
    assert "internal error" not in log
    if code:
        two_sentences(log, last)


def test_sigterm_ends_the_program_while_it_waits_for_argocd(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        world.derived = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        process = world.start("verify")
        connection, _ = silent.accept()
        with connection:
            signal_asleep(process)
            log, _ = process.communicate(timeout=5)
    assert process.returncode == 143
    assert "ERROR: This run was ended from outside before it was done (SIGTERM).\nERROR: What to do: " in log
