"""Fixtures of the unit tests."""

# The fixtures import what they need themselves, because xdist's controller, which runs no test, reads this file, too.
import gc
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

if TYPE_CHECKING:
    from tests.fakes.laptop import FakeLaptop
    from tests.fakes.world import World

MEMORY = Path("/dev/shm")
"""Mounted files are in memory where there is such a folder: on a disk, each test takes 9 ms more."""


def pytest_sessionstart() -> None:
    """Let Python collect garbage rarely, because that took a tenth of the processor's time."""
    gc.set_threshold(50_000)


def pytest_collection_finish() -> None:
    """Exempt the collected tests from garbage collection, because they stay until the end."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def one_ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Of public CAs there is one, which nobody uses: reading a machine's hundred for each client would take 0.05 s."""
    from tests.fakes.authority import authority

    folder = tmp_path_factory.mktemp("cas")
    (folder / "nobody.pem").write_text(authority("nobody").pem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_DIR", str(folder / "none"))
        patch.setenv("SSL_CERT_FILE", str(folder / "nobody.pem"))
        yield


@pytest.fixture(autouse=True, scope="session")
def told_times() -> Iterator[None]:
    """The client adds the seconds in header ``X-Took`` to the time that it measures, so that no server has to wait."""
    from gitops_runtime_auth.argocd import http

    measure = http._Clock.__call__

    def told(clock: http._Clock, event: str, info: dict[str, Any]) -> None:
        measure(clock, event, info)
        if event.endswith("receive_response_headers.complete"):
            clock._answered += sum(float(value) for name, value in info["return_value"][3] if name == b"X-Took")

    with mock.patch.object(http._Clock, "__call__", told):
        yield


@pytest.fixture(autouse=True, scope="session")
def validated_once() -> Iterator[None]:
    """Validate settings only once. It takes 1 ms, and most settings of tests differ in nothing but a server's port."""
    from gitops_runtime_auth.config import schema

    validate, passed = schema.validate, set()

    def once(values: Any, block: str) -> None:
        asked = re.sub(r"(127\.0\.0\.1|localhost):\d+", "", repr(values))
        if asked not in passed:
            validate(values, block)
            passed.add(asked)

    with mock.patch.object(schema, "validate", once):
        yield


@pytest.fixture
def world() -> "Iterator[World]":
    """A release that is not installed yet, beside two Argo CDs and a Kubernetes API."""
    from tests.fakes.world import World

    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        made = World(Path(folder))
        yield made
        made.close()
        made.require_no_secret_told()
        made.require_prose()


@pytest.fixture
def laptop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> "Iterator[FakeLaptop]":
    """A laptop, an Argo CD and a cluster in which the chart's defaults can be installed."""
    from tests.fakes.laptop import FakeLaptop

    made = FakeLaptop(tmp_path, monkeypatch, capsys)
    yield made
    made.close()
