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

ROOT = Path(__file__).resolve().parents[3]
VERSION = yaml.safe_load((ROOT / "chart/Chart.yaml").read_text(encoding="utf-8"))["version"]


def build(source: Path, target: str, out: Path) -> Path:
    """Build with the backend itself: no network, no environment of its own."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module", params=["checkout", "sdist"])
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout, and from the source distribution, as pip does where no wheel fits."""
    folder = tmp_path_factory.mktemp(request.param)
    source = ROOT
    if request.param == "sdist":
        with tarfile.open(build(ROOT, "sdist", folder / "sdist")) as archive:
            archive.extractall(folder, filter="data")
        source = folder / f"gitops_runtime_auth-{VERSION}"
    return build(source, "wheel", folder / "wheel")


def test_the_wheel_holds_the_code_the_chart_as_helm_packages_it_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {str(path.relative_to(ROOT / "hook")) for end in ("*.py", "*.yaml") for path in (ROOT / "hook").rglob(end)}
    subprocess.run([tools.CURRENT / "helm", "package", ROOT / "chart", "-d", tmp_path], check=True, capture_output=True)
    (packed,) = tmp_path.glob("*.tgz")
    with tarfile.open(packed) as archive:
        chart = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in names if ".dist-info/" not in name} == code | {
        f"gitops_runtime_auth/chart/{name}" for name in chart
    }


def test_the_installed_command_says_its_version(wheel: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", str(tmp_path), str(wheel)], check=True)
    command = tmp_path / "bin" / "gitops-runtime-auth"
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([command, "--version"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"gitops-runtime-auth {VERSION}\n"
    # And it renders the chart that it carries: what fails then is that there is no cluster.
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


def test_make_package_makes_what_the_release_workflow_publishes(tmp_path: Path) -> None:
    assert tools.CURRENT.joinpath("helm").exists(), "run python -m dev.sandbox tools"
    make = ["make", "-o", "tools", "-o", ".venv/.made", f"PY={sys.executable}", f"DIST={tmp_path}"]
    subprocess.run([*make, "package"], cwd=ROOT, check=True, capture_output=True)
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {
        f"python/gitops_runtime_auth-{VERSION}-py3-none-any.whl",
        f"python/gitops_runtime_auth-{VERSION}.tar.gz",
        f"chart/gitops-runtime-auth-{VERSION}.tgz",
    }
    with tarfile.open(tmp_path / f"chart/gitops-runtime-auth-{VERSION}.tgz") as chart:
        names = {name.removeprefix("gitops-runtime-auth/") for name in chart.getnames()}
    assert {"Chart.yaml", "values.schema.json", "templates/hooks/ensure/job.yaml"} <= names
    assert not any(name.startswith(("tests/", "ci/")) for name in names)
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
