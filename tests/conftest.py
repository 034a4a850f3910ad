"""Prints the tables that tests end with."""

import pytest

TABLE = "table"
"""Under this name a test records (``record_property``) what is to be printed in the end, whichever process ran it."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that the tests recorded."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == TABLE:
                    terminalreporter.write_sep("-", report.nodeid)
                    terminalreporter.write_line(str(text))
