"""Names that the documentation takes from the code are there: files and functions of the tour, and tests in tables."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import PAGES, ROOT

PACKAGE = ROOT / "hook" / "gitops_runtime_auth"
TOUR = "A tour in ten minutes"
FAULTS = "Faults that harm, and the tests that hold them"


def section(page: str, title: str) -> str:
    """Return the text below a heading of the second level, up to the next one."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def defined(file: Path) -> set[str]:
    """Return the names of the functions, methods and classes in a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, kinds)}


def missing(text: str, root: Path) -> list[str]:
    """Return what a text names and the code below ``root`` has not.

    A name with brackets is looked for in the file that was named last before it; ``Keeper.check()`` is a method.
    """
    found, file = [], Path()
    for span in re.findall(r"`([^`]+)`", text):
        if span.endswith(".py"):
            file = root / span
            if not file.is_file():
                found.append(span)
        elif span.endswith("()"):
            names = set(span.removesuffix("()").split("."))
            if not file.is_file() or names - defined(file):
                found.append(f"{span} in {file.name}")
    return found


def test_the_tour_names_what_is_there() -> None:
    text = section("docs/development.md", TOUR)
    assert missing(text, PACKAGE) == []
    assert len(re.findall(r"`[^`]+\(\)`", text)) > 20, "the three stories are told by their functions"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("`commands/absent.py`", ["commands/absent.py"]),
        ("`commands/ensure.py` `absent()`", ["absent() in ensure.py"]),
        ("`service/keeper.py` `Keeper.absent()`", ["Keeper.absent() in keeper.py"]),
        ("`ensure()`", ["ensure() in "]),
        ("`commands/ensure.py` `ensure()`", []),
    ],
)
def test_a_name_that_is_not_there_is_found(text: str, what: list[str]) -> None:
    assert missing(text, PACKAGE) == what


def named_tests() -> Iterator[tuple[str, str, str]]:
    """Yield page, file and function of each ``folder/test_file.py::test_name`` in the documentation."""
    for page in PAGES:
        for file, name in re.findall(r"`([\w/]+\.py)::(test_\w+)`", page.read_text(encoding="utf-8")):
            yield page.name, file, name


def test_each_test_that_a_page_names_exists() -> None:
    named = list(named_tests())
    assert len({page for page, _, _ in named}) >= 2, "docs/security.md and docs/install.md name tests"
    assert [n for n in named if not (ROOT / "tests" / n[1]).is_file()] == []
    assert [n for n in named if n[2] not in defined(ROOT / "tests" / n[1])] == []


def test_every_row_of_faults_names_a_test() -> None:
    rows = [row for row in section("docs/security.md", FAULTS).splitlines() if re.match(r"\| \d", row)]
    numbers = [int(row.split("|")[1]) for row in rows]
    assert numbers == list(range(26)), "the audit's numbers"
    assert [row for row in rows if "::test_" not in row] == []


def test_every_row_that_is_measured_names_a_test_or_a_command() -> None:
    text = section("docs/install.md", "Your Argo CD")
    rows = [row for row in text.splitlines() if row.startswith("| ") and "---" not in row][1:]
    assert len(rows) > 8
    assert [row for row in rows if "::test_" not in row.split("|")[-2] and "`make" not in row.split("|")[-2]] == []


def values() -> set[str]:
    """Return the paths of all values of the chart, and the keys of the blocks ``server`` and ``auth``."""

    def paths(node: object, above: str = "") -> Iterator[str]:
        for key, value in node.items() if isinstance(node, dict) else ():
            yield f"{above}{key}"
            yield from paths(value, f"{above}{key}.")

    schema = json.loads((ROOT / "chart/values.schema.json").read_text(encoding="utf-8"))["definitions"]
    blocks = {f"{name}.{key}" for name in ("server", "auth") for key in schema[name]["properties"]}
    more = {f"hook.{key}" for key in schema["hook"]["properties"]}
    return {*paths(yaml.safe_load((ROOT / "chart/values.yaml").read_text(encoding="utf-8"))), *blocks, *more}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_each_value_that_a_page_names_is_one_of_the_chart(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    first = "hook|keeper|keySecret|runtime|networkPolicy|metrics|proxy|image|server|auth"
    named = set(re.findall(rf"`((?:{first})(?:\.[A-Za-z]+)+)(?=[`=:])", text))
    argocds = {"server.insecure", "server.secretkey"}  # settings of Argo CD itself
    known = values() | argocds | {"image.yaml"}
    assert named - known == set()
