"""The log: plain lines for Jobs, JSON for long-running commands, nothing in it that steers a terminal."""

import json

import pytest

from gitops_runtime_auth import log


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_job_logs_plain_lines_from_its_level_up(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup()
    log.debug("a detail")
    log.progress("a try")
    log.info("a step", key="id")
    log.warning("a warning")
    log.error("a failure")
    assert lines(capsys) == ["a try", "a step", "WARNING: a warning", "ERROR: a failure"]


def test_a_long_running_command_logs_json_and_tries_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(as_json=True)
    log.progress("a try")
    log.info("a step", key="id", ready=False)
    (line,) = lines(capsys)
    fields = json.loads(line)
    assert fields.pop("time").endswith("+00:00")
    assert fields == {"level": "info", "message": "a step", "key": "id", "ready": False}
    log.setup("debug", as_json=True)
    log.progress("a try")
    assert json.loads(lines(capsys)[0])["level"] == "debug"


def test_a_second_setup_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup()
    log.setup("error")
    log.warning("a warning")
    log.error("a failure")
    assert lines(capsys) == ["ERROR: a failure"]


@pytest.mark.parametrize("as_json", [False, True])
def test_no_control_character_reaches_a_terminal(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    """Escape sequences, C1 controls, reversed text, half characters: servers' words stand in messages."""
    log.setup(as_json=as_json)
    log.info("redirects to \x1b[2Jx\x9b1m\u202e\udc80\r, „gut“", key="\x1b]0;")
    (line,) = lines(capsys)
    assert line.isprintable()
    if as_json:
        fields = json.loads(line)
        assert fields["key"] == "\\x1b]0;"
        line = fields["message"]
    assert line == "redirects to \\x1b[2Jx\\x9b1m\\u202e\\udc80\\r, „gut“"


def test_line_breaks_of_our_own_stay() -> None:
    assert log.printable("one\ntwo") == "one\ntwo"


def test_a_span_tells_its_seconds_to_developers(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup("debug")
    with log.Span("a step"):
        pass
    (line,) = lines(capsys)
    assert line.startswith("DEBUG: span a step 0.0")
    assert line.endswith(" s")
