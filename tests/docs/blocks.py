"""The fenced blocks of README.md and docs/: what their marks mean is in docs/development.md."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")))


@dataclass(frozen=True)
class Block:
    """A fenced block: ``language mark key=value ...`` and its text."""

    page: str
    line: int
    language: str
    mark: str
    options: dict[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        words = match[2].split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        mark = next((word for word in words if "=" not in word), "file" if "file" in options else "")
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(str(page.relative_to(ROOT)), line, match[1], mark, options, match[3]))
    return found


ALL = [block for page in PAGES if page.exists() for block in blocks(page)]
