"""Whenever the answers come: hook, two keepers and ``check`` with a wrong password never lock an account.

Argo CD locks an account at its 5th failed login within 300 s. By its own count there were fewer, if the right password
still works right after.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle, product
from pathlib import Path

from tests.conftest import TABLE
from tests.faults.place import Site
from tests.faults.release import Release
from tests.faults.running import start
from tests.faults.settings import MINE
from tests.faults.traffic import LOST, Traffic

FULL = os.environ.get("FULL") == "1"
LATE = (0.0, 0.3, 0.6, 5.0, 46.0, LOST)
"""Seconds; 46 is more than a check of the keeper may take."""
JITTER = (0.0, 0.3, 0.1)
"""Seconds by which the other answers come late, where times prove nothing."""
LOCKS = 5
SECONDS = 75.0
"""How long a pattern is followed: longer than the slowest login and what comes of it, shorter than Argo CD's memory."""
HOOKS = 3
"""Runs of an installer that retries at once."""
AT_ONCE = 12
REFUSED = (75, 77)
"""Exit codes: the password is refused, or was not answered."""
WRONG = "canary-wrong-password"


@dataclass(frozen=True)
class Pattern:
    """By how many seconds the answers come late: those to logins in turn, whoever sends them; all others in turn."""

    logins: tuple[float, ...]
    others: tuple[float, ...] = (0.0,)

    def __str__(self) -> str:
        logins = ", ".join("lost" if late == LOST else f"{late:g} s" for late in self.logins)
        return f"logins {logins}" + ("; all others differ" if len(self.others) > 1 else "")


def patterns() -> Iterator[Pattern]:
    if FULL:
        yield from (Pattern(pair, others) for pair in product(LATE, LATE) for others in ((0.0,), JITTER))
        return
    yield from (Pattern((late,)) for late in LATE)
    yield from (Pattern(pair) for pair in ((LOST, 0.0), (46.0, LOST), (0.6, 5.0)))
    yield from (Pattern((late,), JITTER) for late in (0.0, LOST))


def follow(site: Site, folder: Path, pattern: Pattern) -> tuple[Pattern, Traffic, Release]:
    """Run two keepers, the hook again and again, and ``check``, all with a wrong password."""
    account, password = site.new_account()
    namespace, between = site.new_namespace(), site.between()
    one = Release(site, folder / "hook", account, password, namespace, between, timeout=120)
    for command in ("ensure", "keep"):
        one.token_of(command)
    site.secret(namespace, MINE, password=WRONG)
    one.values = {"keeper": {"interval": 2}}
    others = [replace(one, folder=folder / f"keeper-{n}") for n in (1, 2)]
    for release in (one, *others):
        release.mount_credential(WRONG)
    traffic = between.begin(traffic=Traffic(late=cycle(pattern.logins), others_late=cycle(pattern.others)))
    began = time.monotonic()
    keepers = [start(release, traffic) for release in others]
    try:
        with ThreadPoolExecutor(1) as beside:
            checking = beside.submit(one.check)
            for _ in range(HOOKS):
                hook = one.start()
                one.said += hook.communicate(timeout=200)[0]
                assert hook.returncode in REFUSED
            assert checking.result().returncode in REFUSED
        assert one.check().returncode in REFUSED
        time.sleep(max(0.0, began + SECONDS - time.monotonic()))
    finally:
        for keeper in keepers:
            one.said += keeper.end()
    return pattern, traffic, one


def test_no_pattern_of_answers_locks_an_account(
    site: Site, tmp_path: Path, record_property: Callable[[str, str], None]
) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        followed = list(pool.map(lambda p: follow(site, tmp_path / str(p[0]), p[1]), enumerate(patterns())))
    lines, wrong = [], []
    for pattern, traffic, one in followed:
        refused = [login for login in traffic.logins if login.status == 401]
        locked = site.locked_out(one.account, one.password)
        lines.append(f"{pattern}: {len(refused)} refused logins, {'LOCKED' if locked else 'not locked'}")
        if locked or not 1 <= len(refused) < LOCKS:
            wrong.append(f"{lines[-1]}\n{one.said}")
    record_property(TABLE, "\n".join(lines))
    assert not wrong, "\n".join(wrong)
