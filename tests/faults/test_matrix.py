"""Every fault at every request of the hook: what the run came to, and that the next run puts it right.

The requests are not listed here: a run without a fault shows them. ``FULL=1`` takes every kind of fault in every
scenario; without it a fresh install meets six kinds, the other scenarios the kills.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

from tests.faults.place import Release, Result
from tests.faults.proxy import KILLS, KINDS

FULL = os.environ.get("FULL") == "1"
WORKERS = 4
CODES = {0: "healed", 69: "69", 75: "75", 77: "77", 78: "78", -9: "killed"}
QUICK = (*KILLS, "lost", "truncated", "503", "html")
SCENARIOS = {
    "install": KINDS if FULL else QUICK,
    "upgrade": KINDS if FULL else KILLS,
    "revoked": KINDS if FULL else KILLS,
}
_LOGIN, _LOGOUT = "argocd POST /api/v1/session", "argocd GET /auth/logout"


@dataclass(frozen=True)
class Cell:
    """One fault at one request of one scenario."""

    scenario: str
    step: str
    occurrence: int
    kind: str


@dataclass
class Tally:
    """What the table says at its end; ``wrong`` must stay empty."""

    outcomes: dict[tuple[str, str, int], dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def prepare(release: Release, scenario: str, name: str) -> None:
    release.forget(name)
    if scenario != "install":
        first = release.run()
        assert first.code == 0, first.said
    if scenario == "revoked":
        for key_id in release.live():
            release.site.argocd.delete_key(release.account, key_id, release.site._session)
    release.said = ""


def leaks(release: Release) -> list[str]:
    """Return where a credential shows: what the runs said, Events, and what of the Secret is not its data."""
    events = release.site.cluster.get(f"/api/v1/namespaces/{release.namespace}/events") or {}
    shown = {"output": release.said, "events": str(events), "metadata": str((release.secret() or {}).get("metadata"))}
    canaries = [release.password, release.token, *release.sessions, *release.keys]
    # A JWT's head and claims are alike in all of them: what authenticates is its signature.
    parts = [canary.rpartition(".")[2] for canary in canaries]
    return [place for place, text in shown.items() if any(part in text for part in parts)]


def check(release: Release, cell: Cell, tally: Tally) -> None:
    prepare(release, cell.scenario, f"r{abs(hash(cell)) % 10**9}")
    refused = release.run((cell.step, cell.occurrence, cell.kind))
    left = release.live_sessions()
    again = release.run()
    tally.counts.update(runs=2, faults=int(refused.hit))
    where = f"{cell.scenario}: {cell.kind} at {cell.step} ({cell.occurrence})"
    tally.outcomes[(cell.scenario, cell.step, cell.occurrence)][cell.kind] = CODES.get(refused.code, "?")
    problems = [
        *_of_the_run(cell, refused, left),
        *([f"the next run exits {again.code}: {again.said[-400:]}"] if again.code else []),
        *_of_the_end(release),
    ]
    tally.counts.update(
        {
            "keys left over": max(0, len(release.live()) - 1),
            "sessions of killed runs, held by nobody": len(left) if cell.kind in KILLS else 0,
            "leaks": len(leaks(release)),
        }
    )
    tally.wrong += [f"{where}: {problem}" for problem in problems]


def _of_the_run(cell: Cell, result: Result, left: list[str]) -> list[str]:
    wrong = []
    if not result.hit:
        wrong.append("the fault was not met")
    if result.code not in CODES:
        wrong.append(f"exit {result.code}: {result.said[-400:]}")
    if (result.code == -9) != (cell.kind in KILLS):
        wrong.append(f"exit {result.code}")
    if result.code > 0 and not re.search(r"^ERROR: .+\.\nERROR: What to do: .+\.$", result.said, re.MULTILINE):
        wrong.append(f"no two sentences: {result.said[-400:]}")
    if "Traceback" in result.said or "not made for" in result.said:
        wrong.append(f"a failure without a class: {result.said[-400:]}")
    # A session whose token never arrived, or whose end was answered by somebody else, can't be ended.
    if left and cell.kind not in KILLS and cell.step not in (_LOGIN, _LOGOUT):
        wrong.append(f"{len(left)} sessions left")
    if result.seen.count(_LOGIN) > 3:
        wrong.append(f"{result.seen.count(_LOGIN)} logins")
    return wrong


def _of_the_end(release: Release) -> list[str]:
    entry, live = release.entry(), release.live()
    wrong = [f"a credential shows in {place}" for place in leaks(release)]
    if entry is None or live != [entry.key_id()]:
        wrong.append(f"keys {live}, in the Secret {entry and entry.key_id()}")
    return wrong


def table(tally: Tally) -> str:
    lines = []
    for (scenario, step, occurrence), kinds in sorted(tally.outcomes.items()):
        lines.append(f"{scenario:8} {step}{f' ({occurrence})' if occurrence > 1 else ''}")
        lines.append("         " + "  ".join(f"{kind}:{kinds[kind]}" for kind in KINDS if kind in kinds))
    names = ("faults", "runs", "keys left over", "sessions of killed runs, held by nobody", "leaks")
    lines.append(", ".join(f"{name}: {tally.counts[name]}" for name in names))
    return "\n".join(lines)


def cells(release: Release) -> list[Cell]:
    found = []
    for scenario, kinds in SCENARIOS.items():
        prepare(release, scenario, f"dry-{scenario}")
        result = release.run()
        assert result.code == 0, result.said
        steps = Counter(result.seen)
        found += [
            Cell(scenario, step, n, kind)
            for step, times in sorted(steps.items())
            for n in range(1, times + 1)
            for kind in kinds
        ]
    return found


def test_every_fault_at_every_step(release: Callable[[], Release]) -> None:
    """One live key, the one in the Secret, after the next run: whatever met the first."""
    idle: SimpleQueue[Release] = SimpleQueue()
    releases = [release() for _ in range(WORKERS)]
    for one in releases:
        idle.put(one)
    tally = Tally()

    def work(cell: Cell) -> None:
        one = idle.get()
        try:
            check(one, cell, tally)
        except Exception as e:
            tally.wrong.append(f"{cell}: {type(e).__name__}: {e}")
        finally:
            idle.put(one)

    todo = cells(releases[0])
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, todo))
    print(f"\n{table(tally)}")
    assert tally.counts["faults"] == len(todo)
    assert tally.wrong == []
