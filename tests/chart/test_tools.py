"""The chart's tools agree under helm 4, too; those that need no other helm are checks of ``dev/check_all.py``."""

from pathlib import Path

import pytest

from tests.chart import helm

CASES = sorted(helm.CHART.glob("ci/*-values.yaml"))


def test_helm_4_runs_the_plugin_unittest_too() -> None:
    # The plugin renders with a Helm 3 of its own, whoever starts it, so that one suite shows as much as all.
    run = helm.run("helm4", "unittest", "--strict", "-f", "tests/secrets_test.yaml", helm.CHART)
    assert run.code == 0, run.out + run.err
    assert "4 passed, 4 total" in run.out, run.out


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_lint_of_helm_4(case: Path) -> None:
    # With helm 3, ct lint does the same.
    run = helm.run("helm4", "lint", "--strict", helm.CHART, "-f", case)
    assert run.code == 0, run.out + run.err
    assert "[WARNING]" not in run.out
