"""Writes what is generated (``make generate``), or tells what is out of date (``--check``).

That is the README of the chart, made by helm-docs, the sentences of values.schema.json that list keys, and the sections
of the Runtime's own chart that NOTES.txt looks for.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from dev.sandbox import tools

ROOT = Path(__file__).parents[1]
README = ROOT / "chart" / "README.md"
SCHEMA = ROOT / "chart" / "values.schema.json"
NOTES = ROOT / "chart" / "templates" / "NOTES.txt"
NOT_OURS = "Read by the Runtime's own chart only."
"""Description of a key that is tolerated, and that no sentence lists."""


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


def schema() -> str:
    """Return the schema, in which the refusal of an unknown key lists the keys that exist."""
    text = SCHEMA.read_text(encoding="utf-8")
    for name, elsewhere in (("block", ""), ("server", "auth"), ("auth", "")):
        rules = json.loads(text)["definitions"][name]
        keys = [k for k, rule in rules["properties"].items() if k != elsewhere and rule.get("description") != NOT_OURS]
        old, new = rules["additionalProperties"]["const"], f"under one of the keys {', '.join(keys)}"
        text = text.replace(json.dumps(old), json.dumps(new))
    return text


def notes() -> str:
    """Return NOTES.txt, which names the sections that the schema allows, but this chart does not read."""
    properties = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
    sections = " ".join(f'"{key}"' for key, rule in sorted(properties.items()) if not set(rule) - {"description"})
    return re.sub(
        r'range list .*"argo-cd".*? (?=}})', f"range list {sections} ", NOTES.read_text(encoding="utf-8"), count=1
    )


def main() -> int:
    """Write the files, or with ``--check`` return 1 when one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    options = parser.parse_args()
    wanted = ((README, chart_readme()), (SCHEMA, schema()), (NOTES, notes()))
    stale = {f: text for f, text in wanted if f.read_text("utf-8") != text}
    for file, text in stale.items():
        if options.check:
            print(f"{file.relative_to(ROOT)} is out of date: make generate")
        else:
            file.write_text(text, encoding="utf-8")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
