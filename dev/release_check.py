"""Prove that chart, package, image and changelog agree on the version, which stands once, in chart/Chart.yaml.

``python -m dev.release_check [--tag vX.Y.Z] [--image REFERENCE]``; an image is looked at with docker or buildah.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
LABEL = "org.opencontainers.image.version"


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Print a line for each place that names the version; return 1 if one differs from the chart's."""
    parser = argparse.ArgumentParser(prog="release_check", description=__doc__)
    parser.add_argument("--tag", help="the git tag to be released")
    parser.add_argument("--image", help="a built image, whose label is compared")
    options = parser.parse_args(arguments)
    chart: dict[str, Any] = yaml.safe_load((root / "chart/Chart.yaml").read_text(encoding="utf-8"))
    version = str(chart["version"])
    found = {
        "chart appVersion": str(chart["appVersion"]),
        "Python package": package_version(root),
        "newest release in CHANGELOG.md": changelog_version(root),
        "label of the image": image_version(options.image) if options.image else recipe_version(root, version),
    }
    if options.tag:
        found["git tag"] = options.tag.removeprefix("v")
    print(f"   {version:<12} chart version")
    for place, said in found.items():
        print(f"{'ok' if said == version else '!!':<2} {said or 'none':<12} {place}")
    return int(any(said != version for said in found.values()))


def package_version(root: Path) -> str:
    """Return the version that the build backend would put into the wheel."""
    command = [sys.executable, "-m", "hatchling", "version"]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def changelog_version(root: Path) -> str:
    """Return the first version with a date."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    return found[1] if found else ""


def recipe_version(root: Path, version: str) -> str:
    """Return the version that ``make image`` labels an image with, read from what it would run."""
    label = f"{LABEL}=${{VERSION}}" in (root / "Dockerfile").read_text(encoding="utf-8")
    dry = subprocess.run(["make", "-n", "image"], cwd=root, check=True, capture_output=True, text=True).stdout
    return version if label and f"VERSION={version}" in dry else ""


def image_version(reference: str) -> str:
    """Return the label of a built image."""
    if shutil.which("docker"):
        command, path = ["docker", "image", "inspect", reference], ["Config", "Labels"]
    else:
        command, path = ["buildah", "inspect", "--type", "image", reference], ["OCIv1", "config", "Labels"]
    found: Any = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = found[0] if isinstance(found, list) else found
    for name in path:
        found = found.get(name) or {}
    return str(found.get(LABEL, ""))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
