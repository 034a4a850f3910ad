"""Fixtures of check's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.laptop import FakeLaptop


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[FakeLaptop]:
    """A laptop, an Argo CD and a cluster in which the chart's defaults can be installed."""
    made = FakeLaptop(tmp_path, monkeypatch, capsys)
    yield made
    made.close()
