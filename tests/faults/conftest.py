"""Fixtures: the site, and releases that are ready to run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.place import Site
from tests.faults.release import Release

LONG_FIRST = ("matrix", "storm", "lockout_patterns")
"""Three files are run at a time, in this order: what takes long is not to be left for one worker at the end."""


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture
def release(site: Site, tmp_path: Path) -> Callable[[], Release]:
    """Make a release with an account and a namespace of its own."""

    def make() -> Release:
        account, password = site.new_account()
        namespace = site.new_namespace()
        return Release(site, tmp_path / namespace, account, password, namespace, site.between())

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the files into that order, those that it does not name last."""
    names = [f"test_{name}" for name in LONG_FIRST]
    items.sort(key=lambda item: names.index(item.path.stem) if item.path.stem in names else len(names))
