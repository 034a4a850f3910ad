"""Chart testing, ``type: token``: see ``chart_testing``; and two releases in one namespace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.runtime import BLOCK, CHART, Runtime
from tests.chart import helm
from tests.e2e.chart_testing import PASSWORD, cases, ct_install, restricted


@pytest.fixture(scope="module")
def place() -> Iterator[Runtime]:
    with restricted() as made:
        yield made


@cases(token=True)
def test_ct_install(place: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, upgrade: bool) -> None:
    ct_install(place, tmp_path, monkeypatch, case, upgrade)


@pytest.mark.parametrize("program", helm.HELMS)
def test_a_second_release_in_the_namespace_is_refused_by_name(place: Runtime, program: str) -> None:
    robot = f"{place.name}-robot"
    sets = [*place.sets(robot), "--set", f"{BLOCK}.auth.password={PASSWORD}"]
    place.install(*sets)
    try:
        said = place.helm("install", "other", CHART, *sets, program=program, check=False)
        assert 'Secret "gitops-runtime-argo-cd-password"' in said
        assert '"r"' in said
        by_reference = place.sets(robot)
        said = place.helm("install", "other", CHART, *by_reference, "--timeout", "2m", program=program, check=False)
        assert f'Secret "argocd-token" in namespace {place.name} is not this release\'s' in said.replace('\\"', '"')
    finally:
        place.helm("uninstall", "other", program=program, check=False)
        place.helm("uninstall", "r")
