"""Fixtures of the unit tests."""

from pathlib import Path

import pytest

from gitops_runtime_auth import retry
from gitops_runtime_auth.argocd import login
from tests.unit.fakes.world import World


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that runs the tests may be busy: that is not to count as Argo CD's being so."""
    monkeypatch.setattr(login, "_JITTER", 60.0)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A fresh release beside a fake Argo CD, with every wait shortened tenfold or more."""
    monkeypatch.setattr(retry, "_FIRST_WAIT", 0.002)
    monkeypatch.setattr(retry, "_LONGEST_WAIT", 0.02)
    monkeypatch.setattr(login, "FASTEST_VERDICT", 0.05)
    monkeypatch.setattr(login, "_OVERLOAD_PASSES", 0.0)
    return World(tmp_path)
