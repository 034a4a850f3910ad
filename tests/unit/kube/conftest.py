"""Fixtures: a fake Kubernetes API server, and the product's client of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops_runtime_auth.kube import api
from gitops_runtime_auth.kube.api import Cluster
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.timing import Timing
from tests.fakes.kubernetes import FakeKubernetes

QUICK = Timing(first_retry=0.002, longest_retry=0.01, last_try=0.8)


@pytest.fixture
def kubernetes() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as made:
        yield made


@pytest.fixture
def in_pod(kubernetes: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this process be a Pod of the fake cluster; return the folder of its ServiceAccount."""
    folder = tmp_path / "serviceaccount"
    for name, value in kubernetes.service_account(folder).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def cluster(in_pod: Path) -> Iterator[Cluster]:
    made = api.connect(Deadline(20), QUICK)
    yield made
    made.close()
