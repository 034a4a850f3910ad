"""Render docs/architecture.dot to SVG with graphviz (Debian: apt-get install graphviz).

The SVG carries its source's checksum; tests/docs fails when the source has changed since.
"""

import hashlib
import subprocess
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
SOURCE = DOCS / "architecture.dot"
PICTURE = DOCS / "architecture.svg"
DARK = {
    "white": "#0d1117",
    "#f5f7fa": "#161b22",
    "#fff4d6": "#4a3d12",
    "#dcebff": "#1b3355",
    "#e2f4e5": "#17402a",
    "#5b6b82": "#9fb0c7",
    "#c3ccd9": "#3d4856",
}
"""Colour of the source -> the one for readers who prefer dark pages."""


def mark() -> str:
    """Return the comment that tells from which source a picture was made."""
    return f"<!-- architecture.dot sha256 {hashlib.sha256(SOURCE.read_bytes()).hexdigest()} -->"


def dark() -> str:
    """Return the rules that give the picture its dark colours."""
    pairs = (f'[{kind}="{old}"] {{{kind}: {new}}}' for kind in ("fill", "stroke") for old, new in DARK.items())
    return f"<style>@media (prefers-color-scheme: dark) {{ text {{fill: #e6edf3}} {' '.join(pairs)} }}</style>"


if __name__ == "__main__":
    drawn = subprocess.run(["dot", "-Tsvg", str(SOURCE)], check=True, capture_output=True, text=True).stdout
    drawn = drawn.replace('<g id="graph0"', f'{dark()}\n<g id="graph0"', 1)
    PICTURE.write_text(drawn.rstrip() + f"\n{mark()}\n", encoding="utf-8")
