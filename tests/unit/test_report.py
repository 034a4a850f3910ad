import io

from gitops_runtime_auth.errors import ConfigurationError
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


def report() -> Report:
    found = Report()
    found.ok("One", "fine")
    found.warn("Two", "so so", "do this")
    try:
        with found.step("Three"):
            raise ConfigurationError("It is wrong.", "Run " + "x" * 200)
    except StopError:
        found.skip("Four")
    return found


def test_colours_are_for_terminals_that_want_them() -> None:
    for terminal, environ, coloured in (
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
    ):
        stream = Terminal(terminal=terminal)
        show(report(), "table", stream, environ)
        assert ("\x1b[" in stream.written()) == coloured


def test_signs_fit_the_terminals_encoding() -> None:
    stream = Terminal("ascii", terminal=False)
    show(report(), "table", stream, {})
    assert "x Three" in stream.written()
    stream = Terminal(terminal=False)
    show(report(), "table", stream, {})
    assert "✗ Three" in stream.written()


def test_a_remedy_is_never_broken_so_that_it_can_be_pasted() -> None:
    assert "x" * 200 in report().as_text(colours=False, plain_signs=False, width=60)


def test_the_exit_code_is_the_first_failures() -> None:
    assert report().exit_code == 78
    assert Report().exit_code == 0


def test_the_spinner_leaves_nothing_behind_and_is_for_terminals() -> None:
    stream = Terminal()
    found = Report(doing="Login")
    with spinner(found, stream):
        pass
    assert stream.written().endswith("\r\x1b[K")
    quiet = Terminal(terminal=False)
    with spinner(found, quiet):
        pass
    assert quiet.written() == ""
