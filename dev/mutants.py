"""``make mutants``: changes the code in one small place at a time, and looks whether the unit tests notice.

mutmut makes the changes and runs, for each, the tests that reach the changed function. Each choice of folders has a
work folder below the cache: a run that was stopped, or that ran out of time, goes on where it was, and only functions
that changed since are tried again. mutmut knows packages below ``src``, so ``hook`` is called that there.

All changes take hours. ``SAMPLE=10`` tries every tenth, ``OFFSET=3`` another tenth, and the table counts these only.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from dev.sandbox.paths import CACHE

ROOT = Path(__file__).parents[1]
PACKAGE = "gitops_runtime_auth"
FOLDERS = ("argocd", "kube", "keys", "commands", "service", "config")
"""What is tried unless folders are named: the rest is glue and texts."""

_COPIED = ("chart", "dev", "docs", "tests", "Makefile", "README.md")
"""What the unit tests read beside the code."""
_MUTMUT = {
    "source_paths": ["src"],
    "also_copy": [*_COPIED],
    "pytest_add_cli_args_test_selection": ["tests/unit"],
    "use_git_change_detection": False,
    "timeout_multiplier": 2.0,
    "timeout_constant": 10.0,
}
_GARBAGE = ("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
"""Warnings that come at other times, or at all, because mutmut forks and runs the tests in another order."""
_NOTICED = {1, 3, 37}
"""Exit codes of a run in which a test failed (``mutmut.stats``)."""
_TIMEOUT = {36, -24, 24, 152, 255}
_UNREACHED = {5, 33}
_UNNOTICED = ("survived", "unreached")
ALL = slice(None)


@dataclass(frozen=True)
class Score:
    """What became of the changes to one folder."""

    folder: str
    killed: int = 0
    timeout: int = 0
    """The tests hung: noticed, too."""
    survived: int = 0
    unreached: int = 0
    """No test runs the function."""
    unchecked: int = 0
    """The time was up."""

    @property
    def tried(self) -> int:
        """How many changes were tried."""
        return self.killed + self.timeout + self.survived + self.unreached

    @property
    def percent(self) -> float:
        """How many of the changes that were tried were noticed."""
        return 100 * (self.killed + self.timeout) / self.tried if self.tried else 0.0


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run, print the table, and return 1 if a folder's tests could not be run or notice less than ``--goal``."""
    parser = argparse.ArgumentParser(prog="python -m dev.mutants", description=__doc__)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help=f"of the package (default: {' '.join(FOLDERS)})")
    parser.add_argument("--changed", action="store_true", help="only files that differ from the branch main")
    parser.add_argument("--minutes", type=float, default=60, help="for all folders together (default 60)")
    parser.add_argument("--goal", type=float, default=90, help="per cent that each folder must reach (default 90)")
    parser.add_argument("--survivors", action="store_true", help="print each change that nothing noticed")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="only every N-th change")
    parser.add_argument("--offset", type=int, default=0, help="which of the N samples (default 0)")
    parser.add_argument("--again", action="store_true", help="try again what nothing noticed: there are new tests")
    options = parser.parse_args(arguments)
    folders = options.folders or FOLDERS
    paths = [path for folder in folders for path in files(root, folder)]
    if options.changed:
        differing = changed(root)
        paths = [path for path in paths if path in differing]
        if not paths:
            print("No module differs from main.")
            return 0
    name = "-".join([*(sorted(options.folders) or ["all"]), *(["changed"] if options.changed else [])])
    work = _prepare(root, name, paths)
    if options.again:
        _forget(work)
    sample = slice(options.offset % options.sample, None, options.sample)
    ran = _run(work, 60 * options.minutes, sample)
    scores = [score(folder, work, sample) for folder in folders]
    if options.survivors:
        print("\n".join(survivors(work, sample)))
    print(table(scores))
    if not ran:
        print("The tests could not be run: see above.")
    tried = [s for s in scores if s.tried]
    return int(not ran or not tried or any(s.percent < options.goal for s in tried))


def files(root: Path, folder: str) -> list[str]:
    """Return the modules of a folder of the package, relative to ``hook``."""
    return sorted(str(p.relative_to(root / "hook")) for p in (root / "hook" / PACKAGE / folder).glob("*.py"))


def changed(root: Path) -> set[str]:
    """Return the modules that differ from where this branch left main, committed or not, relative to ``hook``."""
    main = "main" if _git(root, "branch", "--list", "main") else "origin/main"
    base = _git(root, "merge-base", main, "HEAD").strip()
    names = _git(root, "diff", "--name-only", base, "--", "hook") + _git(
        root, "ls-files", "--others", "--exclude-standard", "--", "hook"
    )
    return {name.removeprefix("hook/") for name in names.splitlines()}


def table(scores: Sequence[Score]) -> str:
    """Return the scores as text, with a last line for all of them."""
    parts = ("killed", "timeout", "survived", "unreached", "unchecked")
    whole = Score("all", *(sum(getattr(s, part) for s in scores) for part in parts))
    rows = [(s.folder, *(getattr(s, part) for part in parts), f"{s.percent:.0f} %") for s in (*scores, whole)]
    return tabulate(rows, ("folder", *parts, "noticed"))


def score(folder: str, work: Path, sample: slice = ALL) -> Score:
    """Count what a work folder knows of one of its folders."""
    found = Counter(_became(code) for code in _verdicts(work, sample, folder).values())
    return Score(folder, *(found[part] for part in ("killed", "timeout", "survived", "unreached", "unchecked")))


def survivors(work: Path, sample: slice = ALL) -> list[str]:
    """Return each change that nothing noticed, as a diff."""
    names = [name for name, code in _verdicts(work, sample).items() if _became(code) in _UNNOTICED]
    command = [sys.executable, "-m", "mutmut", "show"]
    return [
        subprocess.run([*command, name], cwd=work, capture_output=True, text=True, check=False).stdout for name in names
    ]


def _became(code: int | None) -> str:
    if code is None or code == 2:
        return "unchecked"
    if code in _NOTICED:
        return "killed"
    if code in _TIMEOUT:
        return "timeout"
    return "unreached" if code in _UNREACHED else "survived"


def _verdicts(work: Path, sample: slice, folder: str = "") -> dict[str, int | None]:
    """Return what became of each change of the sample, which is drawn from each folder by itself."""
    metas = [json.loads(meta.read_text(encoding="utf-8")) for meta in _metas(work)]
    known = {name: code for meta in metas for name, code in meta["exit_code_by_key"].items()}
    folders = sorted({name.split(".")[1] for name in known})
    names = [sorted(name for name in known if name.split(".")[1] == one)[sample] for one in folders]
    return {name: known[name] for one in names for name in one if folder in ("", name.split(".")[1])}


def _metas(work: Path) -> list[Path]:
    return sorted((work / "mutants" / "src" / PACKAGE).rglob("*.meta"))


def _forget(work: Path) -> None:
    for path in _metas(work):
        meta = json.loads(path.read_text(encoding="utf-8"))
        known = meta["exit_code_by_key"]
        meta["exit_code_by_key"] = {n: None if _became(code) in _UNNOTICED else code for n, code in known.items()}
        path.write_text(json.dumps(meta), encoding="utf-8")


def _prepare(root: Path, name: str, paths: Sequence[str]) -> Path:
    """Bring a work folder up to date. One whose choice of files changed is begun anew: mutmut would mix the two up."""
    work = CACHE / "mutants" / hashlib.sha256(str(root).encode()).hexdigest()[:8] / name
    settings = _settings(root, paths)
    written = work / "pyproject.toml"
    if written.exists() and written.read_text(encoding="utf-8") != settings:
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    written.write_text(settings, encoding="utf-8")
    _mirror(root / "hook", work / "src")
    for part in _COPIED:
        _mirror(root / part, work / part)
        _remove(work / "mutants" / part)  # mutmut adds to it, and would keep tests that are gone
    link = work / "mutants" / "hook"  # for tests that start the program by its folder
    if not link.is_symlink():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to("src")
    return work


def _settings(root: Path, paths: Sequence[str]) -> str:
    """Return the pyproject.toml of a work folder: pytest's settings as they are here, and mutmut's."""
    own = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    warnings = [*own.get("filterwarnings", []), *_GARBAGE]
    parts: dict[str, dict[str, object]] = {
        "pytest.ini_options": {**own, "pythonpath": [".", "src"], "filterwarnings": warnings},
        "mutmut": {**_MUTMUT, "only_mutate": [f"src/{path}" for path in paths]},
    }
    # Lists, texts, numbers and truth values look the same in JSON and TOML.
    return "\n".join(
        line
        for name, values in parts.items()
        for line in (f"[tool.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    )


def _mirror(source: Path, target: Path) -> None:
    """Make ``target`` like ``source``. Files that are alike keep their time, by which mutmut knows them."""
    if source.is_file():
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        return
    there = {p.relative_to(source) for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    for old in [p for p in target.rglob("*") if p.is_file()]:
        if old.relative_to(target) not in there:
            old.unlink()
    for part in there:
        _mirror(source / part, target / part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _run(work: Path, seconds: float, sample: slice) -> bool:
    """Run mutmut until it is done or the time is up; return whether the tests themselves could be run."""
    if sample == ALL:
        return _mutmut(work, seconds)
    # With a name that no change has, mutmut makes the changes, finds out which tests reach which, and ends.
    _mutmut(work, seconds, "none")
    names = [name for name, code in _verdicts(work, sample).items() if _became(code) == "unchecked"]
    return not names or _mutmut(work, seconds, *names)


def _mutmut(work: Path, seconds: float, *names: str) -> bool:
    """Run mutmut for these changes, or all; stop it when the time is up. Return False if it fails.

    It must have a terminal to show its progress; elsewhere only the end of what it said is shown, if it failed.
    """
    log = work / "mutmut.log"
    shown = sys.stdout.isatty()
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    # A shell's background job ignores SIGINT, and so would mutmut, so that the time limit could not stop it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "-m", "mutmut", "run", *names],
            cwd=work,
            env=environment,
            stdout=None if shown else file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            done = process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it keeps what it knows
            process.wait()
            return True
    if not done and not shown and names != ("none",):
        print("\n".join(log.read_text(errors="replace").replace("\r", "\n").splitlines()[-40:]))
    return done


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
