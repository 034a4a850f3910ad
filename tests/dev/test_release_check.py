import shutil
from pathlib import Path

import pytest

from dev import release_check


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Dockerfile"):
        shutil.copy(release_check.ROOT / name, tmp_path / name)
    (tmp_path / "chart").mkdir()
    shutil.copy(release_check.ROOT / "chart/Chart.yaml", tmp_path / "chart/Chart.yaml")
    version = "VERSION := $(shell sed -n 's/^version: //p' chart/Chart.yaml)"
    (tmp_path / "Makefile").write_text(f"{version}\nimage:\n\tbuild --build-arg VERSION=$(VERSION)\n", encoding="utf-8")
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_repository_agrees_with_itself() -> None:
    assert release_check.main([]) == 0


@pytest.mark.parametrize(
    ("name", "old", "new", "places"),
    [
        ("chart/Chart.yaml", "appVersion: ", "appVersion: 9", ["chart appVersion"]),
        # Package and image take the chart's version, so they agree with a new one.
        ("chart/Chart.yaml", "\nversion: ", "\nversion: 9", ["chart appVersion", "newest release in CHANGELOG.md"]),
        ("CHANGELOG.md", "## [", "## [9.9.9] - 2030-01-01\n\n## [", ["newest release in CHANGELOG.md"]),
        ("Makefile", "--build-arg VERSION=$(VERSION)", "", ["label of the image"]),
        ("Dockerfile", "org.opencontainers.image.version=", "version=", ["label of the image"]),
    ],
)
def test_each_place_that_differs_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], name: str, old: str, new: str, places: list[str]
) -> None:
    assert release_check.main([], root) == 0
    replace(root / name, old, new)
    capsys.readouterr()
    assert release_check.main([], root) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("!!")]
    assert [line[3:].partition(" ")[2].strip() for line in wrong] == places


def test_a_tag_must_be_the_version(root: Path) -> None:
    version = release_check.changelog_version(root)
    assert release_check.main(["--tag", f"v{version}"], root) == 0
    assert release_check.main(["--tag", "v0.0.0"], root) == 1


@pytest.mark.parametrize("engine", ["docker", "buildah"])
def test_the_label_of_a_pushed_image_counts(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    version = release_check.changelog_version(root)
    program = root / engine
    monkeypatch.setenv("PATH", f"{root}:/usr/bin:/bin")
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: real(name, path=str(root)))
    for said, code in ((version, 0), ("9.9.9", 1)):
        labels = f'{{"{release_check.LABEL}": "{said}"}}'
        answer = f'[{{"Config": {{"Labels": {labels}}}}}]'
        if engine == "buildah":
            answer = f'{{"OCIv1": {{"config": {{"Labels": {labels}}}}}}}'
        program.write_text(f"#!/bin/sh\ncase \"$*\" in *registry/image@sha256:1) echo '{answer}';; esac\n")
        program.chmod(0o755)
        assert release_check.main(["--image", "registry/image@sha256:1"], root) == code
        assert f"{said:<12} label of the image" in capsys.readouterr().out
