"""The commands of README.md and docs/: fenced blocks, with the marks of docs/development.md, and those in the text."""

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


@dataclass(frozen=True)
class Inline:
    """A command in a page's text or tables; ``…`` and capitals stand for what the reader puts in."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_PROGRAM = re.compile(r"(kubectl|helm|argocd|make|check|gitops-runtime-auth) [-a-z]")


def inline(page: Path) -> list[Inline]:
    """Return the commands between backticks, outside the blocks."""
    spans = re.findall(r"`([^`]+)`", _FENCED.sub("", page.read_text(encoding="utf-8")))
    return [Inline(str(page.relative_to(ROOT)), s.replace("\\|", "|")) for s in spans if _PROGRAM.match(s)]


ALL = [block for page in PAGES if page.exists() for block in blocks(page)]
INLINE = list(dict.fromkeys(command for page in PAGES if page.exists() for command in inline(page)))
