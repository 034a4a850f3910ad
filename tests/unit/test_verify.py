"""``verify``: a row per credential, 77 as soon as one is refused."""

import os
from pathlib import Path

import pytest

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.commands import verify
from gitops_runtime_auth.errors import UsageError
from tests.unit.fakes.world import World

FOUR = ["app-proxy", "sources-server", "event-reporter", "gitops-operator"]


def run(world: World, tmp_path: Path, **environ: str) -> int:
    world.run()
    file = tmp_path / "token"
    file.write_text(world.argocd.made[0])
    given = {"ARGO_CD_URL": "https://x", "ARGO_CD_TOKEN": world.argocd.made[0], "ARGO_CD_TOKEN_FILE": str(file)}

    def connect() -> ArgoCD:
        return world.context().argocd

    return verify.run({**given, **environ}, FOUR, tmp_path / "ca", False, connect)


def test_all_accepted(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    login = {"ARGO_CD_USERNAME": "admin", "ARGO_CD_PASSWORD": "s3cret-canary-password"}
    assert run(world, tmp_path, **login) == 0
    out = capsys.readouterr().out
    assert out.count(" accepted") == 7
    assert "canary" not in out
    assert world.argocd.live_sessions() == []


def test_one_refused_is_77_and_named(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(world, tmp_path, ARGO_CD_USERNAME="admin", ARGO_CD_PASSWORD="wrong") == os.EX_NOPERM
    assert "refuses the login" in capsys.readouterr().out
    assert world.argocd.logins.count("refused") == 1


def test_a_missing_file_is_not_accepted(world: World, tmp_path: Path) -> None:
    assert run(world, tmp_path, ARGO_CD_TOKEN_FILE=str(tmp_path / "none")) == os.EX_CONFIG


def test_outside_helm_test_it_says_so() -> None:
    with pytest.raises(UsageError):
        verify.run({}, FOUR, Path("ca"), False)
