"""The cluster that end-to-end tests run on: the sandbox, or the one that E2E_KUBECONFIG names."""

import os
import platform

import pytest

from tests.sandbox import cli


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """Bring the sandbox up with the image of this checkout; what runs already is left alone."""
    if os.environ.get("E2E_KUBECONFIG"):
        return
    if platform.system() != "Linux" or os.geteuid() != 0:
        pytest.skip("needs root on Debian for the sandbox, or E2E_KUBECONFIG with E2E_IMAGE for another cluster")
    assert cli.main(["up"]) == 0
    assert cli.main(["load-image"]) == 0
