"""Render docs/architecture.dot to SVG with graphviz (Debian: apt-get install graphviz).

The SVG carries its source's checksum; tests/docs fails when the source has moved on.
"""

import hashlib
import subprocess
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
SOURCE = DOCS / "architecture.dot"
PICTURE = DOCS / "architecture.svg"


def mark() -> str:
    """Return the comment that tells from which source a picture was made."""
    return f"<!-- architecture.dot sha256 {hashlib.sha256(SOURCE.read_bytes()).hexdigest()} -->"


if __name__ == "__main__":
    drawn = subprocess.run(["dot", "-Tsvg", str(SOURCE)], check=True, capture_output=True, text=True).stdout
    PICTURE.write_text(drawn.rstrip() + f"\n{mark()}\n", encoding="utf-8")
