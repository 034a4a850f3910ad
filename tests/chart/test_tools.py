"""The chart's own tools agree: README up to date, helm-unittest and ct lint green, both helms lint every case."""

import shutil
from pathlib import Path

import pytest

from dev.sandbox import tools
from tests.chart import helm

CASES = sorted(helm.CHART.glob("ci/*-values.yaml"))


def test_readme_is_what_helm_docs_makes_of_the_values(tmp_path: Path) -> None:
    chart = shutil.copytree(helm.CHART, tmp_path / "chart")
    run = helm.run("helm-docs", "--chart-search-root", chart, "--sort-values-order", "file")
    assert run.code == 0, run.err
    made, kept = ((folder / "README.md").read_text(encoding="utf-8") for folder in (chart, helm.CHART))
    assert made == kept, "run: helm-docs --chart-search-root chart --sort-values-order file"


def test_helm_unittest_is_green_under_helm_4_too() -> None:
    # Under helm 3 it is a check of its own (dev/check_all.py).
    run = helm.run("helm4", "unittest", "--strict", "-f", "tests/**/*_test.yaml", helm.CHART)
    assert run.code == 0, run.out + run.err
    assert " passed, " in run.out


@pytest.mark.parametrize("name", helm.HELMS)
@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_lint(name: str, case: Path) -> None:
    run = helm.run(name, "lint", "--strict", helm.CHART, "-f", case)
    assert run.code == 0, run.out + run.err
    assert "[WARNING]" not in run.out


def test_ct_lint() -> None:
    root = helm.CHART.parent
    settings = ("--lint-conf", tools.CT_CONFIG / "lintconf.yaml", "--chart-yaml-schema")
    run = helm.run(
        "ct",
        "lint",
        "--config",
        root / "ct.yaml",
        "--charts",
        helm.CHART,
        *settings,
        tools.CT_CONFIG / "chart_schema.yaml",
    )
    assert run.code == 0, run.out + run.err
