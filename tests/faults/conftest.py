"""Fixtures: the site, and releases that are ready to run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.place import Site, identity
from tests.faults.release import Release


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
        return Release(site, tmp_path / namespace, account, password, namespace, identity(site.cluster, namespace))

    return make
