"""Sums up at the end how many values files were judged alike, as the tests that passed recorded it."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of ``record_property("alike", (verdict, messages))``."""
    verdicts, messages = Counter[str](), 0
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "alike":
                verdicts[value[0]] += 1
                messages += value[1]
    if verdicts:
        terminalreporter.write_line(
            f"values files judged alike by helm 3 and helm 4: {verdicts['accepted']} accepted,"
            f" {verdicts['refused']} refused with {messages} pinned messages"
        )
