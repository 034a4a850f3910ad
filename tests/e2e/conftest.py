"""The cluster that end-to-end tests run on: the sandbox, or the one that E2E_KUBECONFIG names."""

import os
import platform

import pytest

from dev.sandbox import cli

LONG_FIRST = (
    "chart_testing",
    "chart_testing_token",
    "vendor",
    "install",
    "leaks",
    "refusals",
    "consumers",
    "topologies",
    "uninstall",
    "upgrade",
)
"""Four files are run at a time, in this order: what takes long is not to be left for one worker at the end.

A worker takes its next file two tests before the end of the one that it has, so a short one comes fifth, behind the
vendor's chart, whose two tests take more than a minute each.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the files into that order, those that it does not name last."""
    names = [f"test_{name}" for name in LONG_FIRST]
    items.sort(key=lambda item: names.index(item.path.stem) if item.path.stem in names else len(names))


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """Bring the sandbox up with the image of this checkout; what runs already is left alone."""
    if os.environ.get("E2E_KUBECONFIG"):
        return
    if platform.system() != "Linux" or os.geteuid() != 0:
        pytest.exit("Needs root on Debian for the sandbox, or E2E_KUBECONFIG with E2E_IMAGE for another cluster.", 2)
    assert cli.main(["up"]) == 0
    assert cli.main(["load-image"]) == 0
