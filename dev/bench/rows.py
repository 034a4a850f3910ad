"""Measures: each function returns rows of the table, and runs the hook and the yardstick in turn."""

import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dev.bench.chamber import Timing, forget_files
from dev.bench.flows import Release, spans
from dev.cluster import path_of
from dev.keys import KEY_SECRET
from dev.runtime import CHART, Runtime, within

median = statistics.median


@dataclass(frozen=True)
class Row:
    """A line of the table. ``met`` is None where there is no goal."""

    what: str
    ours: str
    yardstick: str
    ratio: str = ""
    goal: str = ""
    met: bool | None = None


_HOOKS_ARGUMENTS = re.compile(r"args: \[(?:\{\{ \.command \}\}|ensure|retire|cleanup)[^]\n]*\]")

Pairs = list[tuple[Timing, Timing]]


def fresh(release: Release, pairs: int, *, cold: bool = False) -> Pairs:
    """Time a first install's hook and what people type instead, in turn."""

    def once(what: Callable[[], Timing]) -> Timing:
        release.forget()
        if cold:
            forget_files()
        return what()

    found = [(once(release.ensure), once(release.by_hand)) for _ in range(pairs)]
    release.forget()
    return found


def fresh_rows(warm: Pairs, cold: Pairs) -> Iterator[Row]:
    by_hand = "argocd login, generate-token, kubectl apply"
    yield _ratio("first install, wall", by_hand, [(o.wall, y.wall) for o, y in warm], 0.85)
    yield _ratio("first install, CPU", by_hand, [(o.cpu, y.cpu) for o, y in warm], 1.2)
    yield _ratio("first install, cold page cache, wall", by_hand, [(o.wall, y.wall) for o, y in cold], None)


def floor_row(warm: Pairs) -> Row:
    """Compare the hook with the sum of Argo CD's own times, of the same runs."""
    over = median(ours.wall - server_time(ours) for ours, _ in warm)
    wall, floor = median(o.wall for o, _ in warm), median(server_time(o) for o, _ in warm)
    said = f"{floor:.2f} s (Argo CD's own time in it)"
    return Row("first install over the floor", f"{wall:.2f} s", said, f"+{over:.2f} s", "≤ +0.17 s", over <= 0.17)


def server_time(ours: Timing) -> float:
    """Return the seconds that Argo CD took for the login and the key, as the run saw them."""
    return sum(s for name, s in spans(ours) if name.startswith("POST /api/v1/"))


def upgrade_row(release: Release, pairs: int) -> Row:
    """Time an upgrade's hook, whose key is still good, and the CLI asking the same question."""
    release.ensure()
    release.mount()
    found, before = [], release.runtime.keys()
    for _ in range(pairs):
        found.append((release.ensure(), release.ask_by_hand()))
    assert release.runtime.keys() == before, "the key was good: none is made"
    wall, by_hand = median(o.wall for o, _ in found), median(y.wall for _, y in found)
    asked = [name for name, _ in spans(found[0][0])]
    what = f"upgrade, key still good ({len(asked)} request{'s' * (len(asked) != 1)})"
    told = f"{by_hand:.2f} s (argocd account get)"
    return Row(what, f"{wall:.2f} s", told, f"{wall / by_hand:.2f}", "≤ 0.2 s", wall <= 0.2)


def install_row(runtime: Runtime, pairs: int) -> Row:
    """Time ``helm install --wait`` with the hook, and with one that does nothing."""
    with _without_hook() as without:
        times = []
        for _ in range(pairs):
            with_hook = _install(runtime, CHART)
            key = runtime.key()
            assert key
            saved = runtime.cluster.get(path_of(runtime.name, "secrets", KEY_SECRET)) or {}
            _uninstall(runtime)
            saved["metadata"] = {k: saved["metadata"][k] for k in ("name", "labels", "annotations")}
            runtime.cluster.create(path_of(runtime.name, "secrets"), saved)
            times.append((with_hook, _install(runtime, str(without))))
            _uninstall(runtime)
            runtime.revoke(key)
    ours, yardstick = median(o for o, _ in times), median(y for _, y in times)
    added = median(o - y for o, y in times)
    return Row("helm install --wait", f"{ours:.2f} s", f"{yardstick:.2f} s (hook does nothing)", f"{added:+.2f} s")


def _uninstall(runtime: Runtime) -> None:
    """Take the release away and its Secret, but not its key, which a keeper that still runs would revoke."""
    runtime.helm("uninstall", "r", "--no-hooks", "--wait")
    within(120, lambda: not (runtime.cluster.get(path_of(runtime.name, "pods")) or {})["items"], "the Pods are gone")
    runtime.cluster.delete(path_of(runtime.name, "secrets", KEY_SECRET))


def scale(releases: Sequence[Release], alone: float | None) -> tuple[list[Row], float]:
    """Run many first installs at once, then as many CLI logins. Return rows, and requests per release.

    ``alone`` is what a release asks with fewer beside it: it must not ask more because of the others.
    """
    with ThreadPoolExecutor(len(releases)) as pool:
        began = time.monotonic()
        ours = list(pool.map(Release.ensure, releases))
        wall = time.monotonic() - began
        logins = list(pool.map(Release.log_in_by_hand, releases))
    releases[0].forget()
    p95 = sorted(t.wall for t in ours)[max(0, round(0.95 * len(ours)) - 1)]
    requests = median(len(spans(t)) for t in ours)
    refused = sum(t.code != 0 for t in logins)
    memory = max(t.memory for t in ours) / 2**20
    many = f"{len(releases)} at once" if len(releases) > 1 else "1 alone"
    told = f"argocd login: {refused} of {len(logins)} refused"
    constant = Row(f"{many}: requests per release", f"{requests:.0f}", "")
    if alone is not None:
        ratio = f"{requests / alone:.2f}"
        constant = replace(constant, yardstick=f"{alone:.0f}", ratio=ratio, goal="constant", met=requests <= alone)
    return [
        Row(f"{many}: wall (95th percentile)", f"{wall:.1f} s ({p95:.1f} s)", told),
        constant,
        Row(f"{many}: largest process", f"{memory:.0f} MiB", "", "", "≤ 60 MiB", memory <= 60),
    ], requests


def keeper_rows(before: dict[str, float], after: dict[str, float]) -> Iterator[Row]:
    """Compare a keeper's metrics at two moments, scaled to an hour."""
    hours = (after["at"] - before["at"]) / 3600
    cpu = (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / hours
    asked = (after["requests"] - before["requests"]) / hours
    yield Row("idle keeper: CPU", f"{cpu:.1f} s/hour", f"{cpu / 36:.2f} % of a core")
    yield Row("idle keeper: memory", f"{after['process_resident_memory_bytes'] / 2**20:.0f} MiB", "")
    yield Row("idle keeper: requests to Argo CD", f"{asked:.0f}/hour", "one a minute")


def _install(runtime: Runtime, chart: str) -> float:
    began = time.perf_counter()
    runtime.helm("install", "r", chart, "--wait", "--timeout", "3m", *runtime.sets())
    return time.perf_counter() - began


@contextmanager
def _without_hook() -> Iterator[Path]:
    """The same chart, whose hook only says its version."""
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(shutil.copytree(CHART, Path(folder) / "chart"))
        changed = 0
        for template in (chart / "templates").rglob("*"):
            if template.is_file():
                text, count = _HOOKS_ARGUMENTS.subn("args: [--version]", template.read_text())
                template.write_text(text)
                changed += count
        assert changed, "no hook was found in the chart"
        yield chart


def _ratio(what: str, yardstick: str, pairs: Sequence[tuple[float, float]], goal: float | None) -> Row:
    ours, theirs = median(o for o, _ in pairs), median(y for _, y in pairs)
    ratio = median(o / y for o, y in pairs)
    told: dict[str, Any] = {"goal": f"≤ {goal}", "met": ratio <= goal} if goal else {}
    return Row(what, f"{ours:.2f} s", f"{theirs:.2f} s ({yardstick})", f"{ratio:.2f}", **told)
