"""The mutation run: what is tried, where, and how its verdicts are counted. mutmut itself is not run here."""

import json
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from dev import mutants
from tests.fakes import LONG

CODES = {"killed": 1, "timeout": 36, "survived": 0, "unreached": 33, "unchecked": None}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two modules in one folder of the package, and a cache of its own."""
    monkeypatch.setattr(mutants, "CACHE", tmp_path / "cache")
    package = tmp_path / "checkout/hook" / mutants.PACKAGE / "keys"
    package.mkdir(parents=True)
    for name in ("__init__", "issue", "revoke"):
        (package / f"{name}.py").write_text(f'"""{name}."""\n')
    for name in ("chart", "dev", "docs", "tests"):
        (tmp_path / "checkout" / name).mkdir()
        (tmp_path / "checkout" / name / "file").write_text(name)
    for name in ("Makefile", "README.md"):
        (tmp_path / "checkout" / name).touch()
    settings = '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\nmarkers = ["alone: x"]\npythonpath = ["hook"]\n'
    (tmp_path / "checkout" / "pyproject.toml").write_text(settings)
    return tmp_path / "checkout"


def verdicts(work: Path, /, of: str = "keys", **codes: int | None) -> None:
    """Write what mutmut knows of a file in a folder of the package."""
    meta = work / "mutants/src" / mutants.PACKAGE / of / "a.py.meta"
    meta.parent.mkdir(parents=True, exist_ok=True)
    named = {f"{mutants.PACKAGE}.{of}.a.{name}": code for name, code in codes.items()}
    meta.write_text(json.dumps({"exit_code_by_key": named}))


def test_each_verdict_is_counted_and_what_was_not_tried_does_not_count(tmp_path: Path) -> None:
    verdicts(tmp_path, "keys", **CODES, interrupted=2, hung=-24)
    found = mutants.score("keys", tmp_path)
    assert found == mutants.Score("keys", killed=1, timeout=2, survived=1, unreached=1, unchecked=2)
    assert found.percent == 60
    assert mutants.Score("none").percent == 0
    last = mutants.table([found, mutants.Score("kube", killed=5)]).splitlines()[-1]
    assert last.split() == ["all", "6", "2", "1", "1", "2", "80", "%"]


def test_a_run_below_the_goal_or_without_tests_fails(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    works: list[Path] = []
    runs = [True]

    def run(work: Path, *_: object) -> bool:
        works.append(work)
        verdicts(work, a=1, b=0)
        return runs[0]

    monkeypatch.setattr(mutants, "_run", run)
    assert mutants.main(["keys", "--goal", "50"], root) == 0
    assert mutants.main(["keys"], root) == 1
    assert works[0] == works[1], "a second run goes on where the first one was"
    assert mutants.main(["--goal", "50"], root) == 0
    assert works[2] != works[1], "another choice is another run"
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[-len(mutants.FOLDERS) - 1 :]] == [*mutants.FOLDERS, "all"]
    monkeypatch.setattr(mutants, "_run", lambda *_: True)
    assert mutants.main(["kube", "--goal", "0"], root) == 1, "nothing was tried"
    monkeypatch.setattr(mutants, "_run", run)
    runs[0] = False
    assert mutants.main(["keys", "--goal", "0"], root) == 1
    assert "could not be run" in capsys.readouterr().out


def test_a_sample_is_drawn_from_each_folder_and_nothing_else_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("keys", "kube"):
        verdicts(tmp_path, folder, a=1, b=0, c=None, d=33, e=None, f=1)
    every_third = slice(1, None, 3)
    assert mutants.score("keys", tmp_path, every_third) == mutants.Score("keys", survived=1, unchecked=1)
    assert mutants.score("kube", tmp_path, slice(0, None, 3)) == mutants.Score("kube", killed=1, unreached=1)
    asked: list[tuple[str, ...]] = []

    def mutmut(_work: Path, _seconds: float, *names: str) -> bool:
        asked.append(names)
        return True

    monkeypatch.setattr(mutants, "_mutmut", mutmut)
    assert mutants._run(tmp_path, 1, every_third)
    package = mutants.PACKAGE
    assert asked == [("none",), (f"{package}.keys.a.e", f"{package}.kube.a.e")], "what is known is not tried again"
    mutants._forget(tmp_path)
    assert mutants.score("keys", tmp_path) == mutants.Score("keys", killed=2, unchecked=4)


def test_the_time_limit_holds_in_a_background_job_too(tmp_path: Path) -> None:
    """A shell starts it with SIGINT ignored, by which mutmut is told to keep what it knows and to end."""
    (tmp_path / "mutmut.py").write_text(f"import time\ntime.sleep({LONG})\n")
    before, began = signal.signal(signal.SIGINT, signal.SIG_IGN), time.monotonic()
    try:
        assert mutants._mutmut(tmp_path, 0.3)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < LONG


def test_the_work_folder_follows_the_checkout(root: Path) -> None:
    def prepare() -> Path:
        return mutants._prepare(root, "keys", mutants.files(root, "keys"))

    work = prepare()
    issue = work / "src" / mutants.PACKAGE / "keys/issue.py"
    before = issue.stat().st_mtime_ns
    (root / "hook" / mutants.PACKAGE / "keys/revoke.py").write_text("changed = 1\n")
    (root / "tests/file").rename(root / "tests/other")
    (work / "mutants/tests").mkdir(parents=True)
    verdicts(work, a=1)
    assert prepare() == work
    assert issue.stat().st_mtime_ns == before, "mutmut knows by the time that a file is as it was"
    assert (work / "src" / mutants.PACKAGE / "keys/revoke.py").read_text() == "changed = 1\n"
    assert (work / "mutants/hook").readlink() == Path("src"), "what tests start is the changed code"
    assert [p.name for p in (work / "tests").iterdir()] == ["other"]
    assert not (work / "mutants/tests").exists()
    assert mutants.score("keys", work).killed == 1, "what is known is kept"
    mutants._prepare(root, "keys", mutants.files(root, "keys")[:1])
    assert mutants.score("keys", work).killed == 0, "another choice of files is begun anew"


def test_the_tests_are_run_with_the_settings_of_the_checkout(root: Path) -> None:
    work = mutants._prepare(root, "keys", mutants.files(root, "keys"))
    tool = tomllib.loads((work / "pyproject.toml").read_text())["tool"]
    pytests = tool["pytest"]["ini_options"]
    assert (pytests["markers"], pytests["pythonpath"]) == (["alone: x"], [".", "src"])
    assert pytests["filterwarnings"][0] == "error"
    wanted = [f"src/{mutants.PACKAGE}/keys/{name}.py" for name in ("__init__", "issue", "revoke")]
    assert tool["mutmut"]["only_mutate"] == wanted


def test_changed_files_are_those_that_differ_from_main(root: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.com")
        subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)

    git("init", "-b", "main")
    git("add", "-A")
    git("commit", "-m", "first")
    git("checkout", "-b", "work")
    keys = root / "hook" / mutants.PACKAGE / "keys"
    (keys / "issue.py").write_text("committed = 1\n")
    git("commit", "-am", "second")
    (keys / "revoke.py").write_text("not_yet = 1\n")
    (keys / "new.py").touch()
    (root / "README.md").write_text("no code")
    assert mutants.changed(root) == {f"{mutants.PACKAGE}/keys/{name}.py" for name in ("issue", "revoke", "new")}
