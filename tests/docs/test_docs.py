"""The documentation, as far as no cluster is needed: blocks, values files, links, the picture, the failure page."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dev import diagram
from dev.sandbox import tools
from tests.chart import helm
from tests.docs.blocks import ALL, INLINE, PAGES, ROOT, Block, Inline

MARKS = {"bash": {"run", "cluster", "syntax"}, "yaml": {"file", "part", "example"}}
BLOB = "https://github.com/gitops-runtime-auth/gitops-runtime-auth/blob/main/"
STAND_IN = ROOT / "tests" / "vendor" / "gitops-runtime"
"""A chart with the fixed names of the GitOps Runtime's own."""


def test_every_block_says_how_it_is_tested() -> None:
    unmarked = [str(b) for b in ALL if b.mark not in MARKS.get(b.language, set())]
    assert not unmarked, f"mark them as docs/development.md says: {unmarked}"
    assert {b.mark for b in ALL} == {mark for marks in MARKS.values() for mark in marks}


def is_make_target(name: str) -> bool:
    return re.search(rf"^{name}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE) is not None


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "bash"], ids=str)
def test_commands_are_valid_bash_and_name_real_make_targets(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for target in re.findall(r"^(?:\w+=\S+ )*make ([a-z0-9-]+)", block.text, re.MULTILINE):
        assert is_make_target(target), f"make {target} is no target"


@pytest.mark.parametrize("which", helm.HELMS)
@pytest.mark.parametrize("block", [b for b in ALL if b.mark == "file"], ids=str)
def test_values_files_are_accepted(block: Block, which: str) -> None:
    done = helm.template(yaml.safe_load(block.text), helm=which)
    assert done.code == 0, done.err


@pytest.mark.parametrize("which", helm.HELMS)
@pytest.mark.parametrize("page", sorted({b.page for b in ALL if b.mark == "run"}))
def test_commands_that_need_no_cluster_run(page: str, which: str, tmp_path: Path) -> None:
    (tmp_path / "chart").symlink_to(ROOT / "chart")
    (tmp_path / "umbrella" / "charts").mkdir(parents=True)  # what helm dependency build brings, without a network
    (tmp_path / "umbrella" / "charts" / "gitops-runtime-auth").symlink_to(ROOT / "chart")
    (tmp_path / "umbrella" / "charts" / "gitops-runtime").symlink_to(STAND_IN)
    folders = [str(Path(sys.executable).parent), str(tools.CURRENT), os.environ["PATH"]]
    environ = {**os.environ, "PATH": ":".join(folders), "PYTHONPATH": str(ROOT / "hook"), "KUBECONFIG": "absent"}
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin/gitops-runtime-auth"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m gitops_runtime_auth "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    (tmp_path / "bin/helm").symlink_to(tools.which(which))
    environ["PATH"] = f"{command.parent}:{environ['PATH']}"
    for block in (b for b in ALL if b.page == page):
        if "file" in block.options:
            (tmp_path / block.options["file"]).write_text(block.text, encoding="utf-8")
        if block.mark == "run":
            done = subprocess.run(
                ["bash", "-eu", "-c", block.text],
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{block}: {done.stdout}\n{done.stderr}"


def known(command: str) -> bool:
    """Tell whether a program has this command and its flags: with ``--help`` it reads both, and then does nothing."""
    words = shlex.split(command)
    if words[0] == "check":
        words.insert(0, "gitops-runtime-auth")
    if words[0] == "make":
        return is_make_target(words[1])
    program = (
        (sys.executable, "-m", "gitops_runtime_auth")
        if words[0] == "gitops-runtime-auth"
        else (str(tools.CURRENT / words[0]),)
    )
    shown = subprocess.run([*program, *words[1:], "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    return shown.returncode == 0 and not re.search(r"^ .* (SUBCOMMAND|\[command\])", shown.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", INLINE, ids=str)
def test_commands_in_the_text_are_ones_that_the_programs_know(command: Inline) -> None:
    assert known(command.text.partition(" | ")[0])


@pytest.mark.parametrize(
    "command", ["kubectl gett pods", "kubectl rollout restarts x", "helm test --no", "argocd account gett", "make it"]
)
def test_a_command_that_no_program_knows_is_told(command: str) -> None:
    assert not known(command)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "chart/README.md"], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        own = target.startswith(BLOB)  # the chart's README is also shown where there is no repository around it
        if target.startswith(("http://", "https://", "mailto:")) and not own:
            continue
        path, _, anchor = target.removeprefix(BLOB).partition("#")
        file = ((ROOT if own else page.parent) / path) if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name}: {target}"


def test_every_make_target_is_explained() -> None:
    phony = re.search(r"(?m)^\.PHONY: (help .*)$", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert phony
    text = (ROOT / "docs/development.md").read_text(encoding="utf-8")
    assert [target for target in phony[1].split() if not re.search(rf"make {target}\b(?!-)", text)] == []


def test_the_picture_is_its_sources() -> None:
    assert diagram.mark() in diagram.PICTURE.read_text(encoding="utf-8"), "run python -m dev.diagram"


def _text(node: ast.expr) -> str:
    """Return a literal's text, with … for whatever is put in when the program runs."""
    match node:
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return "".join(_text(v) for v in node.values)
        case ast.BinOp():
            return _text(node.left) + _text(node.right)
    return "…"


def _messages() -> dict[str, str]:
    """Return every ``problem`` that the code raises or ends with, with the place where it does."""
    found = {}
    for path in sorted((ROOT / "hook" / "gitops_runtime_auth").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = _problem(node)
            if re.search("[A-Za-z]{3}", text) or " is …" in text:
                found[text] = f"{path.name}:{getattr(node, 'lineno', 0)}"
    return found


def _problem(node: ast.AST) -> str:
    """Return the first of two sentences: of an error, of the last net, or of a function that returns both."""
    match node:
        case ast.Call(func=ast.Name("not_argocd"), args=[first, *_]):
            return f"… {_text(first)}."  # puts the URL before, and a dot behind
        case ast.Assign(targets=[ast.Name("problem")], value=ast.JoinedStr() | ast.Constant() as said):
            problem = _text(said)
            return problem if problem.endswith(".") else ""
        case ast.Call(func=func, args=[first, _, *_]) if re.search(r"(Error|\b_fail)$", ast.unparse(func)):
            return _text(first)
        case ast.Return(
            value=ast.Tuple(elts=[ast.JoinedStr() | ast.Constant() as first, ast.JoinedStr() | ast.Constant()])
        ):
            text = _text(first)
            return text if text.endswith(".") else ""
    return ""


def _matches(row: str, message: str) -> bool:
    """Compare two texts in which … stands for anything."""
    either = (re.escape(text).replace("…", ".*") for text in (row, message))
    return any(re.fullmatch(pattern, other) for pattern, other in zip(either, (message, row), strict=True))


def test_the_failure_page_has_every_message_and_no_other() -> None:
    page = (ROOT / "docs/failures.md").read_text(encoding="utf-8")
    cells = [re.sub(r" / .*", "", m) for m in re.findall(r"^\| (.*?) \| ", page, re.MULTILINE)]
    rows = [cell for cell in cells if cell not in ("message", "---")]
    messages = _messages()
    missing = {text: where for text, where in messages.items() if not any(_matches(row, text) for row in rows)}
    assert not missing, f"add to docs/failures.md: {missing}"
    stale = [row for row in rows if not any(_matches(row, text) for text in messages)]
    assert not stale
