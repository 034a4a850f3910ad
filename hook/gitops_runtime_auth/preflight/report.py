"""Shows the result of ``check``, row by row: as a table for people, as JSON for scripts, with a spinner meanwhile."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gitops_runtime_auth.errors import AuthError, UsageError
from gitops_runtime_auth.log import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

State = Literal["ok", "warning", "failed", "skipped"]

_SIGNS: dict[State, tuple[str, str, str]] = {
    "ok": ("✓", "ok", "green"),
    "warning": ("!", "!", "yellow"),
    "failed": ("✗", "x", "red"),
    "skipped": ("–", "-", "dim"),
}
"""State -> its sign, its sign on a terminal with ASCII only, and its style."""
_FILE_WIDTH = 100
"""Width of the table in characters if it is not printed on a terminal."""


@dataclass(frozen=True)
class Row:
    """One check."""

    name: str
    state: State
    found: str
    remedy: str = ""


class StopError(Exception):
    """Raised when a step has failed, so that those after it can't be done."""


@dataclass
class Report:
    """The rows, in the order of the checks."""

    rows: list[Row] = field(default_factory=list)
    exit_code: int = 0
    """The exit code of the first failure, 0 if there is none."""
    status: "Status | None" = None
    """The spinner on the terminal, which names the present step."""

    def ok(self, name: str, found: str, remedy: str = "") -> None:
        """Add a row for a check that succeeded."""
        self._add(name, "ok", found, remedy)

    def warn(self, name: str, found: str, remedy: str = "") -> None:
        """Add a row with a warning, which does not prevent an install."""
        self._add(name, "warning", found, remedy)

    def fail(self, name: str, error: AuthError) -> None:
        """Add a failure."""
        self._add(name, "failed", error.problem, error.remedy)
        self.exit_code = self.exit_code or error.exit_code

    def skip(self, name: str, why: str = "not checked") -> None:
        """Add a row for a check that could not be done."""
        self._add(name, "skipped", why)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Turn an error into the failed row ``name`` and raise StopError."""
        if self.status is not None:
            self.status.update(name)
        try:
            yield
        except AuthError as e:
            self.fail(name, e)
            raise StopError from None

    def as_json(self) -> str:
        """Return the report for scripts."""
        checks = [{"name": r.name, "state": r.state, "found": r.found, "remedy": r.remedy} for r in self.rows]
        document = {"ok": not self.exit_code, "exitCode": self.exit_code, "checks": checks}
        return json.dumps(document, indent=2)

    def _add(self, name: str, state: State, found: str, remedy: str = "") -> None:
        # Texts of servers, helm and kubectl may contain characters that control a terminal.
        self.rows.append(Row(name, state, printable(found), printable(remedy)))


def require_rich() -> None:
    """Raise UsageError if the package for the table is not installed, which is so in the image."""
    try:
        import rich  # noqa: F401
    except ImportError:
        raise UsageError(
            "check needs the Python package rich, which is not installed.",
            "Install the command with its extra: pipx install 'gitops-runtime-auth[check]'; or use -o json.",
        ) from None


def show(report: Report, output: str) -> None:
    """Print the report to standard output. ``output`` is ``table`` or ``json``."""
    text = report.as_json() + "\n" if output == "json" else _table(report)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, grep -q) has closed the pipe, on which Python's flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _table(report: Report) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else _FILE_WIDTH, highlight=False, markup=False, emoji=False)
    plain = not (sys.stdout.encoding or "ascii").lower().startswith("utf")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(width=3, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in report.rows:
        sign, ascii_sign, style = _SIGNS[row.state]
        table.add_row(Text(ascii_sign if plain else sign, style), Text(row.name), Text(row.found))
    with console.capture() as captured:
        console.print(table)
        _remedies(console, report)
        failed = sum(row.state == "failed" for row in report.rows)
        console.print()
        console.print(f"Not ready: {failed} of {len(report.rows)} checks failed." if failed else "Ready to install.")
    text = "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    return text.encode("ascii", "replace").decode() if plain else text


def _remedies(console: "Console", report: Report) -> None:
    """Print each remedy without line breaks, so that it can be copied: a terminal's own line breaks are not copied."""
    remedies = [row for row in report.rows if row.remedy]
    if remedies:
        console.print("\nWhat to do")
    for row in remedies:
        before = "\n" if "\n" in row.remedy else " "
        console.print(f"{row.name}:{before}{row.remedy}", soft_wrap=True)


@contextmanager
def spinner(report: Report, output: str) -> Iterator[None]:
    """Show the present step on a terminal."""
    if output == "json" or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False, markup=False).status("") as status:
        report.status = status
        yield
    report.status = None
