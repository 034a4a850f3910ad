"""Which branches of the templates do the helm-unittest suites reach? Run: python -m tests.chart.branches

Templates can't count, so each branch (also the one not written: an ``if`` without ``else`` that is false) gets a
``fail`` in turn. Suites that stay green have not reached it.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.chart import helm

_ACTION = re.compile(r"\{\{-?\s*(/\*.*?\*/|.*?)\s*-?\}\}", re.DOTALL)
_FAIL = '{{- fail "reached" -}}'


@dataclass(frozen=True)
class Branch:
    """A branch of a template, and the text that has a ``fail`` in it."""

    file: Path
    line: int
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


def branches(file: Path, text: str) -> Iterator[Branch]:
    """Find the branches of a template's text."""
    opened: list[tuple[str, int, bool]] = []
    for action in _ACTION.finditer(text):
        word, line = action[1].split(" ", 1)[0], text.count("\n", 0, action.start()) + 1

        def branch(at: int, insert: str, what: str, line: int = line) -> Branch:
            return Branch(file, line, what, text[:at] + insert + text[at:])

        if word in ("if", "with", "range"):
            opened.append((action[1], line, False))
            yield branch(action.end(), _FAIL, action[1])
        elif word in ("define", "block"):
            opened.append(("define", line, True))
            yield branch(action.end(), _FAIL, action[1])
        elif word == "else":
            start, began, _ = opened.pop()
            opened.append((start, began, True))
            yield branch(action.end(), _FAIL, f"{action[1]} of {start}")
        elif word == "end":
            start, began, complete = opened.pop()
            # A range over a fixed list is never empty.
            if not complete and not start.startswith("range"):
                yield branch(action.start(), "{{- else -}}" + _FAIL, f"not {start}", began)


def _nearest_first(file: Path) -> tuple[str, ...]:
    """Return the suite that mirrors a template, if there is one, and all of them, which take six times as long."""
    near = "notes" if file.suffix == ".txt" else str(file.relative_to("templates").with_suffix(""))
    mirror = (f"tests/{near}_test.yaml",) if (helm.CHART / "tests" / f"{near}_test.yaml").exists() else ()
    return (*mirror, "tests/**/*_test.yaml")


def reached(branch: Branch) -> bool:
    """Tell whether the suites fail when the branch does."""
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(shutil.copytree(helm.CHART, Path(folder) / "chart"))
        (chart / branch.file).write_text(branch.text, encoding="utf-8")
        unittest = ("helm", "unittest", "--strict", "--failfast", "-f")
        return any(helm.run(*unittest, suites, chart).code != 0 for suites in _nearest_first(branch.file))


def all_branches() -> list[Branch]:
    """Return every branch of every template of the chart."""
    files = sorted(p for p in (helm.CHART / "templates").rglob("*") if p.suffix in (".tpl", ".yaml", ".txt"))
    return [b for f in files for b in branches(f.relative_to(helm.CHART), f.read_text(encoding="utf-8"))]


def missed() -> list[Branch]:
    """Return the branches that no suite reaches."""
    found = all_branches()
    with ThreadPoolExecutor(2) as pool:
        return [branch for branch, hit in zip(found, pool.map(reached, found), strict=True) if not hit]


def main() -> int:
    """Print the branches that are missed and how many there are; fail if there are any."""
    lost = missed()
    for branch in lost:
        print(branch)
    total = len(all_branches())
    print(f"{total - len(lost)} of {total} branches of the templates are reached by chart/tests.")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
