"""The report: a table for people, JSON for scripts, nothing that steers a terminal."""

import io
import json
import subprocess
import sys

import pytest

from gitops_runtime_auth.__main__ import main
from gitops_runtime_auth.errors import ConfigurationError, UsageError
from gitops_runtime_auth.preflight.report import Report, StopError, show, spinner


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8", terminal: bool = True) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="", write_through=True)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def written(self) -> str:
        self.seek(0)
        return self.read()


def made() -> Report:
    found = Report()
    found.ok("One", "fine")
    found.warn("Two", "so so", "do this")
    try:
        with found.step("Three"):
            raise ConfigurationError("It is wrong.", "Run " + "x" * 200)
    except StopError:
        found.skip("Four")
    return found


def shown(patch: pytest.MonkeyPatch, stream: Terminal, **environ: str) -> str:
    for name in ("NO_COLOR", "TERM", "FORCE_COLOR", "COLORTERM"):
        patch.delenv(name, raising=False)
    patch.setenv("TERM", "xterm")
    for name, value in environ.items():
        patch.setenv(name, value)
    patch.setattr("sys.stdout", stream)
    show(made(), "table")
    return stream.written()


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, environ, coloured in (
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
    ):
        text = shown(monkeypatch, Terminal(terminal=terminal), **environ)
        assert ("\x1b[32m" in text or "\x1b[31m" in text) == coloured, (terminal, environ)


def test_signs_fit_the_terminals_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "x  Three" in shown(monkeypatch, Terminal("ascii", terminal=False))
    assert "✗  Three" in shown(monkeypatch, Terminal(terminal=False))


def test_a_remedy_is_never_broken_so_that_it_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Run " + "x" * 200 in shown(monkeypatch, Terminal(terminal=False), COLUMNS="60")


def test_a_remedy_of_several_lines_begins_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, found = Terminal(terminal=False), Report()
    found.ok("Block", "ready to paste", "global:\n  a: 1")
    monkeypatch.setattr("sys.stdout", stream)
    show(found, "table")
    assert "Block:\nglobal:\n  a: 1\n" in stream.written()


def test_the_exit_code_is_the_first_failures() -> None:
    found = made()
    found.fail("Later", UsageError("No.", "Yes."))
    assert found.exit_code == 78
    assert Report().exit_code == 0


def test_json_is_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    show(made(), "json")
    parsed = json.loads(capsys.readouterr().out)
    assert (parsed["ok"], parsed["exitCode"]) == (False, 78)
    assert parsed["checks"][1] == {"name": "Two", "state": "warning", "found": "so so", "remedy": "do this"}
    assert [row["state"] for row in parsed["checks"]] == ["ok", "warning", "failed", "skipped"]


def test_what_steers_a_terminal_is_not_printed() -> None:
    found = Report()
    found.warn("Name", "a\x1b[2J\x9b2J\u202eb\nc", "\x1b]0;title\x07\r")
    assert found.rows[0].found == r"a\x1b[2J\x9b2J\u202eb" + "\nc"
    assert found.rows[0].remedy == r"\x1b]0;title\x07\r"


def test_the_spinner_names_the_step_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, output, spins in ((True, "table", True), (False, "table", False), (True, "json", False)):
        stream, found = Terminal(terminal=terminal), Report()
        monkeypatch.setattr("sys.stderr", stream)
        with spinner(found, output):
            assert (found.status is not None) == spins
            with found.step("Login"):
                pass
        assert found.status is None
        assert (stream.written() != "") == spins


def test_without_the_extra_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    assert main(["check"]) == 64
    said = capsys.readouterr().err
    assert "check needs the Python package rich" in said
    assert "pipx install 'gitops-runtime-auth[check]'" in said


def test_json_needs_no_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setenv("PATH", "")
    assert main(["check", "-o", "json", "-n", "ns", "--kubeconfig", "/nowhere"]) == 64
    assert "helm is not on PATH" in json.loads(capsys.readouterr().out)["checks"][0]["found"]


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    # More than any pipe holds.
    script = (
        "from gitops_runtime_auth.preflight.report import *; show(Report([Row('a', 'ok', 'b' * 5_000_000)]), 'json')"
    )
    line = f'{sys.executable} -c "{script}" | true'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stderr == ""
