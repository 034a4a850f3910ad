"""What ``check`` found, row by row: as a table for people, as JSON for scripts, with a spinner while it looks."""

import itertools
import json
import os
import shutil
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TextIO

from gitops_runtime_auth.errors import AuthError

State = Literal["ok", "warning", "failed", "skipped"]

_SIGNS: dict[State, tuple[str, str, str]] = {
    "ok": ("✓", "ok", "32"),
    "warning": ("!", "!", "33"),
    "failed": ("✗", "x", "31"),
    "skipped": ("–", "-", "2"),
}
"""State -> its sign, the sign where the terminal knows ASCII only, and its SGR colour."""


@dataclass(frozen=True)
class Row:
    """One check."""

    name: str
    state: State
    found: str
    remedy: str = ""


class StopError(Exception):
    """A step failed; those after it can't be done."""


@dataclass
class Report:
    """The rows, in the order in which they were looked at."""

    rows: list[Row] = field(default_factory=list)
    exit_code: int = 0
    """That of the first failure, 0 without one."""
    doing: str = ""
    """The step under way, for the spinner."""

    def ok(self, name: str, found: str) -> None:
        """Add a row that is as it should be."""
        self.rows.append(Row(name, "ok", found))

    def warn(self, name: str, found: str, remedy: str = "") -> None:
        """Add a row that does not keep the chart from being installed."""
        self.rows.append(Row(name, "warning", found, remedy))

    def fail(self, name: str, error: AuthError) -> None:
        """Add a failure."""
        self.rows.append(Row(name, "failed", error.problem, error.remedy))
        self.exit_code = self.exit_code or error.exit_code

    def skip(self, name: str, why: str = "not checked") -> None:
        """Add a row that could not be looked at."""
        self.rows.append(Row(name, "skipped", why))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Turn an error into the failed row ``name`` and end the story (StopError)."""
        self.doing = name
        try:
            yield
        except AuthError as e:
            self.fail(name, e)
            raise StopError from None

    def as_json(self) -> str:
        """Return the report for scripts."""
        checks = [{"name": r.name, "state": r.state, "found": r.found, "remedy": r.remedy} for r in self.rows]
        return json.dumps(
            {"ok": not self.exit_code, "exitCode": self.exit_code, "checks": checks}, indent=2, ensure_ascii=False
        )

    def as_text(self, *, colours: bool, plain_signs: bool, width: int) -> str:
        """Return the table, and below it each remedy on a line of its own, ready to be pasted."""
        column = max((len(r.name) for r in self.rows), default=0) + 2
        lines = []
        for row in self.rows:
            sign, ascii_sign, colour = _SIGNS[row.state]
            sign = f"{ascii_sign if plain_signs else sign:<2}"
            shown = f"\x1b[{colour}m{sign}\x1b[0m" if colours else sign
            indent = " " * (column + 4)
            text = textwrap.fill(row.found, max(width, 60), initial_indent=indent, subsequent_indent=indent)
            lines.append(f"  {shown}{row.name:<{column}}{text[len(indent) :]}")
        remedies = [r for r in self.rows if r.remedy]
        if remedies:
            lines += ["", "What to do"]
            lines += [f"  {r.name}: {r.remedy}" for r in remedies]
        failed = sum(r.state == "failed" for r in self.rows)
        lines += ["", f"Not ready: {failed} of {len(self.rows)} checks failed." if failed else "Ready to install."]
        return "\n".join(lines)


def show(report: Report, output: str, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Print the report (``output`` is table or json). Colours only on a terminal, and never with NO_COLOR."""
    stream = stream or sys.stdout
    try:
        print(_shown(report, output, stream, environ), file=stream, flush=True)
    except BrokenPipeError:
        # The reader (head, grep -q) has seen enough. Python's own flush at exit must not fail on it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _shown(report: Report, output: str, stream: TextIO, environ: Mapping[str, str]) -> str:
    if output == "json":
        return report.as_json()
    try:
        "✓✗–".encode(stream.encoding or "ascii")
        plain = False
    except UnicodeEncodeError:
        plain = True
    terminal = stream.isatty()
    colours = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size().columns if terminal else 100
    return report.as_text(colours=colours, plain_signs=plain, width=width)


@contextmanager
def spinner(report: Report, stream: TextIO | None = None) -> Iterator[None]:
    """Show on a terminal that something is under way, and what."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield
        return
    done = threading.Event()

    def turn() -> None:
        for frame in itertools.cycle("|/-\\"):
            stream.write(f"\r\x1b[K{frame} {report.doing} ")
            stream.flush()
            if done.wait(0.1):
                break
        stream.write("\r\x1b[K")
        stream.flush()

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
