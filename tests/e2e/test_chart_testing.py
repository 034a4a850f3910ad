"""Chart testing of what ``chart_testing.CASES`` has beside ``type: token``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.runtime import Runtime
from tests.e2e.chart_testing import cases, ct_install, restricted


@pytest.fixture(scope="module")
def place() -> Iterator[Runtime]:
    with restricted() as made:
        yield made


@cases(token=False)
def test_ct_install(place: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, upgrade: bool) -> None:
    ct_install(place, tmp_path, monkeypatch, case, upgrade)
