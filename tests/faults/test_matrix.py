"""Every fault at every request of every command: what the run came to, and that the next run puts it right.

The requests are not listed here: a run without a fault shows them. ``FULL=1`` takes every kind of fault; without
it a fresh install meets some kinds everywhere and each of the others somewhere, an upgrade is killed everywhere, and
the others are killed after each request that changes something: between two of those the servers' state is the same.
``SCENARIOS=rotate,retire`` takes these alone.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from queue import SimpleQueue

from tests.faults.outcomes import LOGIN, LOGOUT, ONLY_A_WARNING, expected
from tests.faults.proxy import HANDSHAKES, HANG, KILLS, KINDS, is_connection
from tests.faults.release import Release, Result
from tests.faults.scenarios import SCENARIOS
from tests.faults.tally import Cell, Tally

ONLY = [name for name in os.environ.get("SCENARIOS", "").split(",") if name] or [*SCENARIOS]
FULL = os.environ.get("FULL") == "1"
WORKERS = 6
WIDE = ("install", "upgrade", "revoked")
"""What meets every kind with ``FULL=1``; the others' requests are of the same kind, and go the same ways."""
IN_TURN = ("html", "truncated", "reset", "408", "429", "500-unavailable", "502", "504", "delay")
"""Kinds of which a quick run has one at each request; beside these there are those that differ from step to step."""
HANGS = (("argocd POST /api/v1/account/NAME/token", 1), ("kubernetes POST /secrets", 1))
"""Where a quick run has the server hang."""
_SHORTEST = 10
"""Seconds: what ``hook.timeout`` may be at least, for runs that wait until they have none left."""


def prepare(release: Release, scenario: str, name: str) -> None:
    release.forget(name)
    SCENARIOS[scenario].prepare(release)
    release.said = ""


def leaks(release: Release) -> list[str]:
    """Return where a credential shows: what the runs said, Events, and what of the Secret is not its data."""
    events = release.site.cluster.get(f"/api/v1/namespaces/{release.namespace}/events") or {}
    shown = {"output": release.said, "events": str(events), "metadata": str((release.secret() or {}).get("metadata"))}
    canaries = [*release.accounts.values(), *release.tokens.values(), *release.sessions, *release.keys]
    canaries += [credential for _, credential in release.spare.values()]
    # A JWT's head and claims are alike in all of them: what authenticates is its signature.
    parts = [canary.rpartition(".")[2] for canary in canaries]
    return [place for place, text in shown.items() if any(part in text for part in parts)]


def check(release: Release, cell: Cell, tally: Tally) -> None:
    prepare(release, cell.scenario, f"r{abs(hash(cell)) % 10**9}")
    scenario, held_a_good_key = SCENARIOS[cell.scenario], release.holds_a_good_key()
    usual, release.timeout = release.timeout, _SHORTEST if cell.kind == HANG else release.timeout
    try:
        result = release.run((cell.step, cell.occurrence, cell.kind), scenario.command)
    finally:
        release.timeout = usual
    left = release.live_sessions()
    again = list(scenario.follow(release))
    lost = held_a_good_key and not scenario.ends_empty and not release.holds_a_good_key()
    counts = {
        "runs": 1 + len(again),
        "faults": int(result.hit),
        "keys left over": max(0, len(release.live()) - (0 if scenario.ends_empty else 1)),
        "secrets lost": int(lost),
        "sessions of killed runs, held by nobody": len(left) if cell.kind in KILLS else 0,
        "leaks": len(leaks(release)),
    }
    problems = [
        *_of_the_run(cell, result, left),
        *(f"{command}, the next run, exits {r.code}: {r.said[-400:]}" for command, r in again if r.code),
        *_of_the_end(release, scenario.ends_empty),
        *(["the good key in the Secret is lost"] if lost else []),
    ]
    tally.ended(cell, result.code, counts, problems)


def _of_the_run(cell: Cell, result: Result, left: list[str]) -> Iterator[str]:
    if not result.hit:
        yield "the fault was not met"
    wanted = expected(SCENARIOS[cell.scenario].command, cell.step, cell.kind)
    if result.code != wanted:
        yield f"exit {result.code}, not {wanted}: {result.said[-400:]}"
    if result.code > 0 and not re.search(r"^ERROR: .+\.\nERROR: What to do: .+\.$", result.said, re.MULTILINE):
        yield f"no two sentences: {result.said[-400:]}"
    if "Traceback" in result.said or "not made for" in result.said:
        yield f"a failure without a class: {result.said[-400:]}"
    # A session whose token never arrived, or whose end was answered by somebody else, can't be ended.
    if left and cell.kind not in KILLS and cell.step not in (LOGIN, LOGOUT):
        yield f"{len(left)} sessions left"
    if result.seen.count(LOGIN) > 3:
        yield f"{result.seen.count(LOGIN)} logins"


def _of_the_end(release: Release, empty: bool) -> Iterator[str]:
    entry, live = release.entry(), release.live()
    for place in leaks(release):
        yield f"a credential shows in {place}"
    if live != ([] if empty else [entry and entry.id]):
        yield f"keys {live}, in the Secret {entry and entry.id}"
    if empty and release.secret() is not None:
        yield "the Secret is still there"


def kinds(scenario: str, step: str, occurrence: int, turn: str) -> tuple[str, ...]:
    """Return the faults that meet a request (or a connection) in this run of the tests; ``turn`` is among them."""
    if is_connection(step):
        return HANDSHAKES if FULL or scenario == "install" else ()
    if FULL:
        return KINDS if scenario in WIDE else (*KILLS, "lost", "503")
    changes = step.split()[1] != "GET"
    if scenario == "install":
        hang = (HANG,) if (step, occurrence) in HANGS else ()
        return (*(("kill-before", "kill-after", "lost") if changes else ("kill-after",)), "503", turn, *hang)
    if scenario == "upgrade":
        return KILLS
    return ("kill-after",) if changes and step not in ONLY_A_WARNING else ()


def cells(release: Release) -> list[Cell]:
    found, turns = [], cycle(IN_TURN)
    for scenario in ONLY:
        prepare(release, scenario, f"dry-{scenario}")
        result = release.run(command=SCENARIOS[scenario].command)
        assert result.code == 0, result.said
        if SCENARIOS[scenario].command != "ensure":  # whose end may be the next command's
            assert list(_of_the_end(release, SCENARIOS[scenario].ends_empty)) == [], result.said
        found += [
            Cell(scenario, step, n, kind)
            for step, times in sorted(Counter(result.seen).items())
            for n in range(1, times + 1)
            for kind in kinds(scenario, step, n, "" if is_connection(step) else next(turns))
        ]
    return found


def test_every_fault_at_every_step(release: Callable[[], Release]) -> None:
    """One live key, the one in the Secret (or neither, at the end), after the next run: whatever met the first."""
    idle: SimpleQueue[Release] = SimpleQueue()
    releases = [release() for _ in range(WORKERS)]
    for one in releases:
        one.site.consumer(one.namespace)
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
    print(f"\n{tally.table()}")
    assert tally.counts["faults"] == len(todo)
    assert not tally.wrong, "\n".join(tally.wrong)
    assert [tally.counts[name] for name in ("keys left over", "secrets lost", "leaks")] == [0, 0, 0]
