"""The templates' house rules: one calling convention, shallow includes, few files to know a Job."""

import re
from pathlib import Path

from tests.chart import helm

TEMPLATES = helm.CHART / "templates"
FILES = {p.relative_to(TEMPLATES): p.read_text(encoding="utf-8") for p in TEMPLATES.rglob("*") if p.is_file()}
DEFINED = re.compile(r'{{-? define "gitops-runtime-auth\.([^"]+)" -?}}(.*?){{-? end -?}}\n(?=\n|$)', re.DOTALL)
CALL = re.compile(r'include "gitops-runtime-auth\.([^"]+)" (\(dict|\$?\w+|\.)')


def _bodies() -> dict[str, tuple[Path, str]]:
    """Every named template: the file that it stands in, and its text."""
    found = {}
    for file, text in FILES.items():
        for name, body in DEFINED.findall(text):
            assert name not in found, name
            found[name] = (file, body)
    return found


BODIES = _bodies()


def _depth(text: str, seen: tuple[str, ...] = ()) -> int:
    names = {name for name, _ in CALL.findall(text)} - set(seen)
    return max((1 + _depth(BODIES[name][1], (*seen, name)) for name in names), default=0)


def _reached(text: str, found: set[str]) -> set[str]:
    for name in {name for name, _ in CALL.findall(text)} - found:
        found.add(name)
        _reached(BODIES[name][1], found)
    return found


def test_every_named_template_stands_in_one_of_four_files_and_is_used() -> None:
    assert {file.name for file, _ in BODIES.values()} == {"_names.tpl", "_pod.tpl", "_connection.tpl", "_public.tpl"}
    called = {name for text in FILES.values() for name, _ in CALL.findall(text)}
    by_parents = {name for name, (file, _) in BODIES.items() if file.name == "_public.tpl"}
    by_name = {"env.address", "env.service", "token.volume", "token.mount", "credentialChecksum"}
    assert set(BODIES) - called <= by_parents | by_name
    assert all(f'"{name}"' in FILES[Path("_public.tpl")] for name in by_name)


def test_every_call_hands_over_a_dict_with_the_root() -> None:
    for file, text in FILES.items():
        for name, argument in CALL.findall(text):
            if argument == "(dict":
                continue
            # A leaf passes on the dict that it got.
            assert argument in (".", "$files"), f"{file}: {name} {argument}"
            assert argument == "$files" or file.suffix == ".tpl", f"{file}: {name}"
    for file, text in FILES.items():
        for line in text.splitlines():
            for name, rest in re.findall(r'include "gitops-runtime-auth\.([^"]+)" \(dict "(\w+)"', line):
                assert rest in ("root", "context"), f"{file}: {name}"


def test_includes_are_three_deep_at_most() -> None:
    for file, text in FILES.items():
        if file.suffix != ".tpl":
            assert _depth(text) <= 3, file


def test_a_job_is_known_from_three_files_and_the_leaf_helpers() -> None:
    jobs = [file for file, text in FILES.items() if "\nkind: Job\n" in text]
    assert len(jobs) == 5
    for file in jobs:
        assert 45 <= len(FILES[file].splitlines()) <= 76, file
        files = {BODIES[name][0].name for name in _reached(FILES[file], set())}
        # Leaf helpers are those for names, labels, annotations and images.
        assert files - {"_names.tpl"} == {"_pod.tpl", "_connection.tpl"}


def test_a_folder_per_lifecycle_and_a_file_per_kind() -> None:
    folders = {str(file.parent) for file in FILES} - {"."}
    assert folders == {"hooks/ensure", "hooks/retire", "hooks/cleanup", "keeper", "runtime", "metrics", "tests"}
    for file, text in FILES.items():
        if file.suffix == ".yaml":
            assert re.search(r"(?m)^kind: \w+$", text), file
