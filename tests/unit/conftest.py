"""Fixtures of the unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.authority import authority
from tests.fakes.laptop import FakeLaptop
from tests.fakes.world import World


@pytest.fixture(autouse=True, scope="session")
def one_ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Of public CAs there is one, which nobody uses: reading a machine's hundred for each client would take 0.05 s."""
    folder = tmp_path_factory.mktemp("cas")
    (folder / "nobody.pem").write_text(authority("nobody").pem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_DIR", str(folder / "none"))
        patch.setenv("SSL_CERT_FILE", str(folder / "nobody.pem"))
        yield


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
