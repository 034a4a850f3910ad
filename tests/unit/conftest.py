"""Fixtures of the unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A release that is not installed yet, beside two Argo CDs and a Kubernetes API."""
    made = World(tmp_path)
    yield made
    made.close()
    made.require_no_secret_told()
