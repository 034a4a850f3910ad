"""Fixtures of the unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.laptop import FakeLaptop
from tests.fakes.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A release that is not installed yet, beside two Argo CDs and a Kubernetes API."""
    made = World(tmp_path)
    yield made
    made.close()
    made.require_no_secret_told()


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[FakeLaptop]:
    """A laptop, an Argo CD and a cluster in which the chart's defaults can be installed."""
    made = FakeLaptop(tmp_path, monkeypatch, capsys)
    yield made
    made.close()
