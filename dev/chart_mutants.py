"""``make chart-mutants``: finds out which faults in the chart its tests notice; ``CHANGED=1`` for changed files only.

Each mutant is the chart with one fault: a line of a template left out, a condition turned round, a word replaced; a
default of values.yaml changed; a rule of the schema taken away. It is *killed* when ``helm unittest`` or a fast part of
tests/chart fails on it. What survives is printed by folder: either a test is missing, or the fault changes nothing that
matters and stands in ``EQUIVALENT`` with its reason. Templates that helm can't even parse are no mutants, because every
test would notice them.
"""

import argparse
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from dev.sandbox import tools

ROOT = Path(__file__).parents[1]
CHART = ROOT / "chart"
JUDGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "NOTES.txt": (("notes",), ()),  # helm template does not print it
    "_connection.tpl": (
        ("runtime/consumers", "runtime/app-proxy", "hooks/ensure/settings", "networkpolicies", "notes"),
        ("environment", "settings", "spellings", "nulls", "verdicts", "embedding"),
    ),
    "_names.tpl": (
        ("secrets", "keeper/settings", "hooks/ensure/job", "runtime/consumers"),
        ("rendering", "environment", "verdicts"),
    ),
    "_pod.tpl": (
        ("hooks/ensure/job", "runtime/consumers", "runtime/app-proxy", "tests/verify", "hooks/retire/role"),
        ("rendering", "settings", "environment"),
    ),
    "_public.tpl": ((), ("embedding",)),
    "values.yaml": (("**/*",), ("rendering", "roles", "environment", "settings")),
    "values.schema.json": ((), ("verdicts",)),
}
"""File -> suites of helm unittest, then files of tests/chart, that are most likely to notice its faults. All of them
would notice a little more, but take minutes for each mutant. A template with an object of its own has its own suite.
"""
_OF_VERDICTS = "not test_verdicts or spelling or integrations or key-secret-of or lint_refuses"
"""Of test_verdicts.py, what only templates refuse."""
_IN_BRACKETS = "in brackets a template takes an absent map for an empty one, but without them it does not"
EQUIVALENT: dict[str, str] = {
    **{
        f"templates/_connection.tpl '| default dict' becomes '': {line}": _IN_BRACKETS
        for line in (
            "{{- $vendor := get (get (",
            '{{- $counts = dict "name"',
            "{{- if not (omit ($counts.auth ",
            '{{- $_ := set $block "ignored" ',
            "{{- $credential := ternary ",
            '{{- $_ := set $secret "labels" ',
            '{{- $_ := set $secret "annotations" ',
        )
    },
    "templates/_connection.tpl '| default \"\"' becomes '': {{- if eq ($of.name ": "nothing is no Secret's name either",
    "templates/_connection.tpl without: {{- $value = deepCopy $value -}}": "no template reads the map afterwards",
    "values.schema.json /: without type": "Helm hands over nothing but a map",
    "values.schema.json /properties/global: without type": "Helm refuses a global that is no map itself",
}
"""File, and the beginning of what a mutant says of itself -> why it changes nothing that matters."""


@dataclass(frozen=True)
class Mutant:
    """One fault: the file, the line where it is, what was done, and the file's text with it."""

    file: Path
    line: int
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"

    def reason(self) -> str | None:
        """Say why the fault changes nothing that matters, if it does not."""
        return next((why for of, why in EQUIVALENT.items() if f"{self.file} {self.what}".startswith(of)), None)


def _is_comment(text: str) -> Callable[[int], bool]:
    """Tell of places in a template whether they are in a comment, of the template or of its YAML."""
    spans = [found.span() for found in re.finditer(r"{{-? ?/\*.*?\*/ ?-?}}|(?m:(?:^| ) *# )[^\n]*", text, re.DOTALL)]
    return lambda place: any(start <= place < end for start, end in spans)


def _without_line(file: Path, text: str) -> Iterator[Mutant]:
    """Leave out each line of the object that is complete by itself."""
    lines = text.splitlines(keepends=True)
    comment, place = _is_comment(text), 0
    for number, line in enumerate(lines):
        bare = line.strip()
        start, place = place + len(line) - len(line.lstrip()), place + len(line)
        blocks = len(re.findall(r"{{-? *(?:if|with|range|define)\b", line)) - len(re.findall(r"{{-? *end\b", line))
        opens = bare.endswith((":", ">-", "-")) or re.search(r"(then|else|where) *-?}}$", bare)
        if not bare or comment(start) or blocks or opens or "else" in bare or "define" in bare:
            continue
        if not re.match(r"[-\w{.\"']", bare):
            continue
        yield Mutant(file, number + 1, f"without: {bare[:90]}", "".join(lines[:number] + lines[number + 1 :]))


_SWAPS = (
    (r"\bif not \(", "if ("),
    (r"\bif and ", "if or "),
    (r"\bif or ", "if and "),
    (r"\bif eq ", "if ne "),
    (r"\bif ne ", "if eq "),
    (r"\bif \.", "if not ."),
    (r"\bif \$", "if not $"),
    (r"\btrue\b", "false"),
    (r"\bfalse\b", "true"),
    (r"(?<!nindent )\b(\d{2,})\b", r"9\1"),
    (r"\b0440\b", "0444"),
    (r"get, update", "get"),
    (r"\| default (?:\"[^\"]*\"|[\w.$]+)", ""),
    (r"\bIn\b", "NotIn"),
    # The parts of a hook's annotations.
    (r'"events" "[^",]+', '"events" "x'),
    (r'"weight" -?\d+', '"weight" 7'),
    (r'"(?:log|keep|more|own)" (?!dict|\()[^ )]+', ""),
)
"""Pattern -> replacement, each place in turn."""


def _swapped(file: Path, text: str) -> Iterator[Mutant]:
    comment = _is_comment(text)
    for pattern, replacement in _SWAPS:
        for found in re.finditer(pattern, text):
            start = text.rfind("\n", 0, found.start()) + 1
            line = text[start : text.find("\n", found.start())]
            if comment(found.start()):
                continue
            with_fault = text[: found.start()] + found.expand(replacement) + text[found.end() :]
            if with_fault != text:
                number = text.count("\n", 0, found.start()) + 1
                yield Mutant(
                    file, number, f"{found[0]!r} becomes {found.expand(replacement)!r}: {line.strip()[:70]}", with_fault
                )


def _flipped(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 7
        case str():
            return f"{value}x" if value else "x"
        case [] | {}:
            return None
    return None


def _defaults(file: Path, text: str) -> Iterator[Mutant]:
    """Change each default of values.yaml. What the schema refuses counts as killed at once."""

    def walk(node: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for key, value in node.items():
            if isinstance(value, dict) and value:
                yield from walk(value, (*path, key))
            elif _flipped(value) is not None:
                yield (*path, key)

    values = yaml.safe_load(text)
    for path in walk(values, ()):
        changed = copy.deepcopy(values)
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = _flipped(place[path[-1]])
        yield Mutant(file, 0, f"{'.'.join(path)} is {place[path[-1]]!r}", yaml.safe_dump(changed, sort_keys=False))


_RULES = ("additionalProperties", "required", "minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "type")


def _rules(file: Path, text: str) -> Iterator[Mutant]:
    """Take each rule of the schema away, and each condition with what follows from it."""
    schema = json.loads(text)

    def walk(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if isinstance(node, dict):
            named = path and path[-1] in ("properties", "definitions", "patternProperties")
            for key, child in node.items():
                if not named and (key in _RULES or key in ("then", "else", "if")):
                    yield path, key
                if named and path[-1] == "patternProperties":
                    yield path, key
                yield from walk(child, (*path, key))
        elif isinstance(node, list):
            for number, child in enumerate(node):
                yield from walk(child, (*path, number))

    for path, key in walk(schema, ()):
        changed = copy.deepcopy(schema)
        place = changed
        for step in path:
            place = place[step]
        gone = place.pop(key)
        yield Mutant(
            file, 0, f"/{'/'.join(map(str, path))}: without {key} {json.dumps(gone)[:60]}", json.dumps(changed)
        )


def mutants(file: Path) -> list[Mutant]:
    """Return the mutants of a file of the chart, which is named relative to it."""
    text = (CHART / file).read_text(encoding="utf-8")
    if file.name == "values.schema.json":
        found = list(_rules(file, text))
    elif file.name == "values.yaml":
        found = list(_defaults(file, text))
    else:
        found = [*_without_line(file, text), *_swapped(file, text)]
    seen: dict[str, Mutant] = {}
    for mutant in found:
        seen.setdefault(mutant.text, mutant)
    return list(seen.values())


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay values over others as Helm does: maps merge, null deletes what is there and stays where nothing is."""
    merged = copy.deepcopy(base)
    for key, value in over.items():
        if value is None and key in merged:
            del merged[key]
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


@cache
def _cases() -> tuple[dict[str, Any], ...]:
    """The values that tests/chart hands to helm for a verdict: each file of ok/ and bad/, and each default as null."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    folders = (ROOT / "tests" / "chart" / name for name in ("ok", "bad"))
    users = [
        yaml.safe_load(p.read_text(encoding="utf-8")) or {} for folder in folders for p in sorted(folder.glob("*"))
    ]

    def nulls(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for key, value in node.items():
            yield {key: None}
            if isinstance(value, dict):
                yield from ({key: inner} for inner in nulls(value))

    # Only the sections that a case says something about: the others are the same for all, and take ten times as long.
    # ``runtime`` is one that the rules of other sections depend on.
    merged = ((user, _merged(defaults, user)) for user in (*users, *nulls(defaults)))
    return tuple(
        {key: value for key, value in whole.items() if not user or key in (*user, "runtime")} for user, whole in merged
    )


def _verdicts(schema: dict[str, Any]) -> list[list[str]]:
    """What the schema says of each case: places and words. Helm's are pinned; these differ exactly when those do."""
    validator = jsonschema.Draft7Validator(schema)

    def words(errors: Iterable[Any]) -> list[str]:
        return sorted(f"{list(e.absolute_path)} {e.validator} {str(e.validator_value)[:200]}" for e in errors)

    return [words(validator.iter_errors(case)) for case in _cases()]


@cache
def _baseline() -> list[list[str]]:
    return _verdicts(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")))


def _commands(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield what may notice a fault, cheapest first."""
    own = str(file.with_suffix("")).removeprefix("templates/")
    suites, files = JUDGES.get(file.name, ((own,), ("rendering", "roles", "environment", "settings")))
    if suites:
        flags = (word for suite in suites for word in ("-f", f"tests/{suite}_test.yaml"))
        yield ("helm", "unittest", "--strict", "--failfast", "chart", *flags)
    if files:
        # What else the schema refuses has been judged without helm. What noticed the fault before comes first.
        some = "settings_that or slip or formats" if file.name == "values.schema.json" else _OF_VERDICTS
        pytest = (sys.executable, "-m", "pytest", "-x", "-q", "--ff", "-k", some)
        yield (*pytest, *(f"tests/chart/test_{name}.py" for name in files))


_OWN = threading.local()


def _workspace() -> Path:
    """Return this thread's copy of chart and tests, which stays, so that pytest compiles its tests once."""
    if not hasattr(_OWN, "folder"):
        _OWN.folder = tempfile.TemporaryDirectory()  # deleted with the thread
        root = Path(_OWN.folder.name)
        for name in ("dev", "hook", "pyproject.toml"):
            (root / name).symlink_to(ROOT / name)
        shutil.copytree(ROOT / "tests/chart", root / "tests/chart", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "tests" / "__init__.py").touch()
        shutil.copytree(CHART, root / "chart")
    return Path(_OWN.folder.name)


def killed(mutant: Mutant) -> bool | None:
    """Tell whether the chart's tests notice; None of a template that helm can't parse."""
    schema = mutant.file.name == "values.schema.json"
    if schema and _verdicts(json.loads(mutant.text)) != _baseline():
        return True
    root = _workspace()
    environment = {
        **os.environ,
        "PATH": f"{tools.CURRENT}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HELM_PLUGINS": str(tools.PLUGINS),
        **tools.QUICK_HELM,
    }
    (root / "chart" / mutant.file).write_text(mutant.text, encoding="utf-8")
    try:
        for command in _commands(mutant.file):
            done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                return None if "parse error at (" in done.stdout + done.stderr else True
        return False
    finally:
        shutil.copy(CHART / mutant.file, root / "chart" / mutant.file)


def files(changed: bool) -> list[Path]:
    """Return the files to put faults into; with ``changed`` those that differ from the last commit."""
    found = [p.relative_to(CHART) for p in sorted((CHART / "templates").rglob("*")) if p.is_file()]
    found += [Path("values.yaml"), Path("values.schema.json")]
    if not changed:
        return found
    said = subprocess.run(
        ("git", "status", "--porcelain", "chart"), cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = {line[3:].removeprefix("chart/") for line in said.stdout.splitlines()}
    return [file for file in found if str(file) in names]


def folder(file: Path) -> str:
    """Return the row of the table that a file belongs to."""
    inner = file.relative_to("templates").parent if file.parts[0] == "templates" else Path(file.name)
    return str(inner) if str(inner) != "." else "templates"


def main() -> int:
    """Print the survivors and a table per folder; fail if fewer are killed than docs/development.md promises."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="regular expression for files")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="only every N-th mutant")
    parser.add_argument("--offset", type=int, default=0, help="which of the N samples (default 0)")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    chosen = [f for f in files(bool(os.environ.get("CHANGED"))) if re.search(options.only, str(f))]
    every = [m for f in chosen for m in mutants(f) if not m.reason()]
    todo = every[options.offset % options.sample :: options.sample]
    for file in (Path("values.yaml"), Path("values.schema.json")):
        if killed(Mutant(file, 0, "no fault", (CHART / file).read_text(encoding="utf-8"))):
            print("The chart's tests fail without any fault: mend that first.")
            return 1
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, noticed in zip(todo, pool.map(killed, todo), strict=True):
            if noticed is None:
                continue
            row = counts[folder(mutant.file)]
            row[0] += 1
            row[1] += noticed
            if not noticed:
                print(mutant, flush=True)
    print(f"\n{'folder':22} {'mutants':>8} {'killed':>8}")
    low = False
    for name, (total, dead) in counts.items():
        print(f"{name:22} {total:8} {dead:8} {100 * dead / total:4.0f} %")
    for rows, goal in ((("values.schema.json",), 85), (tuple(set(counts) - {"values.schema.json"}), 90)):
        total, dead = (sum(counts[name][i] for name in rows if name in counts) for i in (0, 1))
        low |= bool(total) and 100 * dead / total < goal
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
