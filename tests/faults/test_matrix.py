"""Every fault at every request of every command: what the run came to, and that the next run puts it right.

The requests are not listed here: a run without a fault shows them. ``FULL=1`` takes every kind of fault; without
it a fresh install meets some kinds everywhere and each of the others somewhere, an upgrade is killed everywhere, and
the others are killed after each request that changes something: between two of those the servers' state is the same.
``SCENARIOS=rotate,retire`` takes these alone.
"""

import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, cycle
from queue import SimpleQueue
from typing import TypeVar

from dev.cluster import path_of
from tests.conftest import TABLE
from tests.faults.outcomes import DOUBTFUL, LOGIN, LOGOUT, ONLY_A_WARNING, expected, leaves_the_record
from tests.faults.release import Release, Result
from tests.faults.roles import CONSUMER, REFUSED
from tests.faults.scenarios import SCENARIOS, End, Scenario
from tests.faults.tally import UNMET, Cell, Tally
from tests.faults.traffic import HANDSHAKES, HANG, KILLS, KINDS, is_connection

T = TypeVar("T")

ONLY = [name for name in os.environ.get("SCENARIOS", "").split(",") if name] or [*SCENARIOS]
FULL = os.environ.get("FULL") == "1"
WORKERS = 6
WIDE = ("install", "upgrade", "revoked")
"""What meets every kind with ``FULL=1``; the others' requests are of the same kind, and go the same ways."""
IN_TURN = ("html", "gateway-401", "truncated", "reset", "408", "429", "500-unavailable", "502", "504", "delay")
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
    """Return where a credential shows: in what the runs said, Events, the record, or the Secret beside its data."""
    cluster, namespace = release.site.cluster, release.namespace
    shown = {
        "output": release.said,
        "events": str(cluster.get(path_of(namespace, "events"))),
        "record": str(cluster.get(path_of(namespace, "configmaps", REFUSED))),
        "metadata": str((release.secret() or {}).get("metadata")),
    }
    canaries = [*release.accounts.values(), *release.tokens.values(), *release.sessions, *release.keys]
    canaries += [credential for _, credential in release.spare.values()]
    # A JWT's head and claims are alike in all of them: what authenticates is its signature.
    parts = [canary.rpartition(".")[2] for canary in canaries]
    return [place for place, text in shown.items() if any(part in text for part in parts)]


def check(release: Release, cell: Cell, tally: Tally) -> None:
    prepare(release, cell.scenario, f"r{zlib.crc32(str(cell).encode())}")
    scenario, held_a_good_key = SCENARIOS[cell.scenario], release.holds_a_good_key()
    usual, release.timeout = release.timeout, _SHORTEST if cell.kind == HANG else release.timeout
    try:
        result = release.run(cell.fault, scenario.command)
    finally:
        release.timeout = usual
    if not result.traffic.hit and scenario.command in ("keep", "leave"):
        tally.unmet(cell)  # how often the keeper looks until the grace period is over differs from run to run
        return
    left = release.live_sessions()
    problems = [*_of_the_run(cell, result, left)]
    if scenario.live is not None and len(release.live()) != scenario.live:
        problems.append(f"{len(release.live())} keys live after the run, not {scenario.live}")
    again = list(scenario.follow(release))
    remembered = release.record() and not leaves_the_record(cell.scenario, *cell.fault)
    lost = held_a_good_key and scenario.end is End.KEY and not release.holds_a_good_key()
    counts = {
        "runs": 1 + len(again),
        "faults": int(result.traffic.hit),
        "keys left over": max(0, len(release.live()) - (1 if scenario.end is End.KEY else 0)),
        "secrets lost": int(lost),
        "records left over": int(bool(remembered)),
        "sessions of killed runs, held by nobody": len(left) if cell.kind in KILLS else 0,
        "leaks": len(leaks(release)),
    }
    problems += [
        *(
            f"{command}, the next run, exits {r.code}: {r.said[-400:]}"
            for command, r in again
            if r.code != scenario.code
        ),
        *_of_the_end(release, scenario),
        *(["the good key in the Secret is lost"] if lost else []),
        *(["a login that came to its good end is remembered as another"] if remembered else []),
    ]
    tally.ended(cell, result.code, counts, problems)


def _of_the_run(cell: Cell, result: Result, left: list[str]) -> Iterator[str]:
    traffic, scenario = result.traffic, SCENARIOS[cell.scenario]
    if not traffic.hit:
        yield "the fault was not met"
    wanted = expected(cell.scenario, cell.step, cell.occurrence, cell.kind)
    if result.code != wanted:
        yield f"exit {result.code}, not {wanted}: {result.said[-400:]}"
    sentences = re.search(r"^ERROR: .+\.\nERROR: What to do: .+\.$", result.said, re.MULTILINE)
    if scenario.command == "ensure" and result.code > 0 and not sentences:
        yield f"no two sentences: {result.said[-400:]}"
    if "Traceback" in result.said or "Unexpected internal error" in result.said:
        yield f"a failure without a class: {result.said[-400:]}"
    # A session whose token never arrived, or whose end was answered by somebody else, can't be ended.
    if left and cell.kind not in KILLS and cell.step not in (LOGIN, LOGOUT):
        yield f"{len(left)} sessions left"
    # What is certain not to have been looked at may be sent again; what is in doubt, as often as the scenario says.
    if len(traffic.logins) > scenario.logins:
        yield f"{len(traffic.logins)} logins"
    if cell.step == LOGIN and cell.kind in DOUBTFUL and traffic.seen.count(LOGIN) > scenario.logins:
        yield f"the password was sent {traffic.seen.count(LOGIN)} times"


def _of_the_end(release: Release, scenario: Scenario) -> Iterator[str]:
    entry, live = release.entry(), release.live()
    for place in leaks(release):
        yield f"a credential shows in {place}"
    if live != ([entry and entry.id] if scenario.end is End.KEY else []):
        yield f"keys {live}, in the Secret {entry and entry.id}"
    if scenario.end is End.EMPTY and release.secret() is not None:
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


def cells(release: Release, name: str, turns: Iterator[str]) -> list[Cell]:
    """Run a scenario without a fault, and return the faults that its requests are to meet."""
    prepare(release, name, f"dry-{name}")
    scenario = SCENARIOS[name]
    result = release.run(command=scenario.command)
    assert result.code == scenario.code, result.said
    if scenario.command not in ("ensure", "rollback") and scenario.live is None:  # whose end is the next command's
        assert [*_of_the_end(release, scenario)] == [], f"{name}: {result.said}"
    return [
        Cell(name, step, n, kind)
        for step, times in sorted(Counter(result.traffic.seen).items())
        for n in range(1, times + 1)
        for kind in kinds(name, step, n, "" if is_connection(step) else next(turns))
    ]


def test_every_fault_at_every_step(release: Callable[[], Release], record_property: Callable[[str, str], None]) -> None:
    """One live key, the one in the Secret (or neither, at the end), after the next run: whatever met the first."""
    idle: SimpleQueue[Release] = SimpleQueue()
    for one in [release() for _ in range(WORKERS)]:
        one.site.consumers(one.namespace, CONSUMER)
        idle.put(one)
    tally, turns = Tally(), cycle(IN_TURN)

    def with_one(work: Callable[[Release], T]) -> T:
        one = idle.get()
        try:
            return work(one)
        finally:
            idle.put(one)

    def work_off(cell: Cell) -> None:
        try:
            with_one(lambda one: check(one, cell, tally))
        except Exception as e:
            tally.wrong.append(f"{cell}: {type(e).__name__}: {e}")

    with ThreadPoolExecutor(WORKERS) as pool:
        found = pool.map(lambda name: with_one(lambda one: cells(one, name, turns)), ONLY)
        todo = list(chain.from_iterable(found))
        list(pool.map(work_off, todo))
    record_property(TABLE, tally.table())
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.counts["faults"] + tally.counts[UNMET] == len(todo)
    assert tally.counts[UNMET] <= len(todo) / 20
    gone_wrong = ("keys left over", "secrets lost", "records left over", "leaks")
    assert [tally.counts[name] for name in gone_wrong] == [0, 0, 0, 0]
