"""What the package index would get: built here, looked into, installed, and run."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from dev.sandbox import tools
from gitops_runtime_auth.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
VERSION = yaml.safe_load((ROOT / "chart/Chart.yaml").read_text(encoding="utf-8"))["version"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make package`` leaves for the release workflow to publish."""
    assert tools.CURRENT.joinpath("helm").exists(), "run python -m dev.sandbox tools"
    dist = tmp_path_factory.mktemp("dist")
    make = ["make", "-o", "tools", "-o", ".venv/.made", f"PY={sys.executable}", f"DIST={dist}"]
    subprocess.run([*make, "package"], cwd=ROOT, check=True, capture_output=True)
    return dist


@pytest.fixture(scope="module")
def wheel(published: Path) -> Path:
    return published / f"python/gitops_runtime_auth-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def packed(published: Path) -> set[str]:
    """The files of the packaged chart."""
    with tarfile.open(published / f"chart/gitops-runtime-auth-{VERSION}.tgz") as archive:
        return {name.removeprefix("gitops-runtime-auth/") for name in archive.getnames()}


def contents(wheel: Path) -> dict[str, int]:
    """Return each file of a wheel with its checksum."""
    return {file.filename: file.CRC for file in zipfile.ZipFile(wheel).infolist()}


def test_the_wheel_holds_the_code_the_chart_as_helm_packages_it_and_nothing_else(wheel: Path, packed: set[str]) -> None:
    code = {str(path.relative_to(ROOT / "hook")) for end in ("*.py", "*.yaml") for path in (ROOT / "hook").rglob(end)}
    assert {name for name in contents(wheel) if ".dist-info/" not in name} == code | {
        f"gitops_runtime_auth/chart/{name}" for name in packed
    }


def test_the_source_distribution_makes_the_same_wheel(published: Path, wheel: Path, tmp_path: Path) -> None:
    """As pip does where it takes no wheel. Built with the backend itself: no network, no environment of its own."""
    archive = published / f"python/gitops_runtime_auth-{VERSION}.tar.gz"
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path], check=True)  # tarfile's filters came with Python 3.11.4
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "made")]
    source = tmp_path / f"gitops_runtime_auth-{VERSION}"
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    assert contents(tmp_path / "made" / wheel.name) == contents(wheel)


def test_the_installed_command_says_its_version_and_renders_its_chart(wheel: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", str(tmp_path), str(wheel)], check=True)
    command = tmp_path / "bin" / "gitops-runtime-auth"
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([command, "--version"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"gitops-runtime-auth {VERSION}\n"
    # What fails then is that there is no cluster.
    flags = ["-o", "json", "-n", "ns", "--kube-version", "1.34.0", "--kubeconfig", str(tmp_path / "none")]
    line = [str(command), "check", *flags]
    environ["PATH"] = str(tools.CURRENT)
    done = subprocess.run(line, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    rows = {row["name"]: row["state"] for row in json.loads(done.stdout)["checks"]}
    assert (rows["Values"], rows["Credential"]) == ("ok", "failed")


def test_the_version_needs_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == ["gitops-runtime-auth", VERSION]


def test_make_package_makes_what_the_release_workflow_publishes(published: Path, packed: set[str]) -> None:
    made = {str(path.relative_to(published)) for path in published.rglob("*") if path.is_file()}
    assert made == {
        f"python/gitops_runtime_auth-{VERSION}-py3-none-any.whl",
        f"python/gitops_runtime_auth-{VERSION}.tar.gz",
        f"chart/gitops-runtime-auth-{VERSION}.tgz",
    }
    assert {"Chart.yaml", "values.schema.json", "templates/hooks/ensure/job.yaml"} <= packed
    assert not any(name.startswith(("tests/", "ci/")) for name in packed)
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text(encoding="utf-8"))
    steps = {job: yaml.safe_dump(spec["steps"]) for job, spec in workflow["jobs"].items()}
    assert "packages-dir: dist/python" in steps["package"]
    assert "helm push dist/chart/*.tgz" in steps["chart"]


def test_the_locks_are_made_by_make_lock_as_their_headers_tell_renovate() -> None:
    dry = subprocess.run(
        ["make", "--no-print-directory", "-n", "lock"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    heads = [
        (ROOT / name).read_text(encoding="utf-8").splitlines()[1]
        for name in ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
    ]
    assert [head.removeprefix("#    ") for head in heads] == dry.replace(" -q", "").splitlines()
