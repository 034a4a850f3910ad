"""Writes what is generated (``make generate``), or tells what is out of date (``--check``)."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from dev.sandbox import tools

ROOT = Path(__file__).parents[1]
README = ROOT / "chart" / "README.md"


def chart_readme() -> str:
    """Return the chart's README as helm-docs makes it from values.yaml and README.md.gotmpl."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "README.md"
        subprocess.run(
            [
                tools.which("helm-docs"),
                "--chart-search-root=chart",
                "--sort-values-order=file",
                "--dry-run",
                "--log-level=error",
            ],
            cwd=ROOT,
            check=True,
            stdout=out.open("w"),
        )
        return out.read_text(encoding="utf-8")


def main() -> int:
    """Write the files, or with ``--check`` return 1 when one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    options = parser.parse_args()
    wanted = chart_readme()
    if README.exists() and README.read_text(encoding="utf-8") == wanted:
        return 0
    if options.check:
        print(f"{README.relative_to(ROOT)} is out of date: make generate")
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
