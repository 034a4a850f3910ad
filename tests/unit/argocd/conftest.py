"""What the tests of this folder share."""

import logging
import os
from collections.abc import Iterator

import pytest

from gitops_runtime_auth import log


@pytest.fixture(autouse=True, scope="package")
def few_cas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of CAs as the image has it: OpenSSL looks one up when it needs it, instead of reading hundreds.

    For a module and not the session, because tests of other folders need the environment as it was.
    """
    folder = tmp_path_factory.mktemp("cas")
    (folder / "00000000.0").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_DIR", str(folder))
        patch.setenv("SSL_CERT_FILE", str(folder / "none.pem"))
        yield


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests must not lead them anywhere."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def log_as_it_is_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test may have set the log up in this process."""
    monkeypatch.setattr(log._logger, "propagate", True)
    monkeypatch.setattr(log._logger, "handlers", [])
    log._logger.setLevel(logging.NOTSET)  # which also forgets the levels that the logger has cached
