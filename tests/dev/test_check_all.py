"""``make test``: what runs, in which order, and what is left out on a cluster of somebody else's."""

import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dev import check_all

Run = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run check_all without running anything; return its exit code, the checks made, and the summary."""
    for name in ("E2E_KUBECONFIG", "FAULTS_ARGOCD"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, failing: str = "") -> tuple[int, list[str], str]:
        by_command = {check.command: check.name for check in check_all.CHECKS}
        made: list[str] = []

        def fake(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
            made.append(by_command[tuple(command)])
            return subprocess.CompletedProcess(command, int(made[-1] == failing))

        monkeypatch.setattr(subprocess, "run", fake)
        code = check_all.main(arguments)
        return code, made, capsys.readouterr().out.partition("Summary")[2]

    return run


@pytest.mark.parametrize("arguments", [(), ("--fast",), ("--only", "lint")])
def test_the_client_programs_come_before_the_checks_that_need_their_settings(
    run: Run, arguments: tuple[str, ...]
) -> None:
    code, made, _ = run(*arguments)
    assert code == 0
    assert made[0] == "client programs"
    assert "yamllint" in made


def test_without_client_programs_nothing_else_is_tried(run: Run) -> None:
    code, made, _ = run(failing="client programs")
    assert (code, made) == (1, ["client programs"])


def test_everything_runs_on_the_sandbox(run: Run) -> None:
    _, made, said = run()
    assert made == [check.name for check in check_all.CHECKS]
    assert "left out" not in said


def test_on_another_cluster_the_summary_says_what_is_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2E_KUBECONFIG", "some")
    _, made, said = run()
    assert {"end to end", "end to end, alone"} <= set(made)
    assert not {"sandbox", "image", "faults", "faults, alone"} & set(made)
    assert "faults" in said
    assert "left out: they dial Argo CD from this machine: set FAULTS_ARGOCD=HOST:PORT" in said


def test_faults_run_on_another_cluster_whose_argocd_can_be_dialled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E2E_KUBECONFIG", "some")
    monkeypatch.setenv("FAULTS_ARGOCD", "127.0.0.1:8443")
    assert {"faults", "faults, alone"} <= set(run()[1])


def test_without_a_cluster_nothing_of_it_runs(run: Run) -> None:
    _, made, _ = run("--fast")
    assert not {check.name for check in check_all.CHECKS if check.group == "cluster"} & set(made)
    assert "unit tests" in made
