"""``make bench``: all measurements on the sandbox, in about a quarter of an hour."""

import argparse
import gzip
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from dev.bench import report, rows
from dev.bench.chamber import PROGRAM, Chamber
from dev.bench.flows import Release
from dev.runtime import IMAGE, Runtime, runtime
from dev.sandbox import cli, images
from dev.sandbox.shell import step

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Measure, print the table, write the page; return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description=__doc__)
    parser.add_argument("--pairs", type=int, default=10, help="runs of ours and of the yardstick, in turn")
    parser.add_argument("--scale", type=int, nargs="*", default=[1, 10, 100], help="releases at once")
    parser.add_argument("--dry-run", action="store_true", help="leave docs/ alone")
    options = parser.parse_args()
    if cli.main(["up"]) or cli.main(["load-image"]):
        return 1
    archive = images.build_project(IMAGE, ROOT / "Dockerfile", ROOT)
    found: list[rows.Row] = []
    with ExitStack() as stack:
        chamber = stack.enter_context(Chamber(archive))
        idle = stack.enter_context(runtime("bench-idle"))
        place = stack.enter_context(runtime("bench"))
        idle.install(*idle.sets(keeper__interval="60"))
        began = keeper(idle)
        release = Release(chamber, place, place.name)
        with step("a first install, and by hand"):
            warm = rows.fresh(release, options.pairs)
        with step("the same with a cold page cache"):
            cold = rows.fresh(release, options.pairs, cold=True)
        found += [*rows.fresh_rows(warm, cold), rows.floor_row(warm)]
        with step("an upgrade"):
            found.append(rows.upgrade_row(release, options.pairs))
        release.forget()
        with step("helm install"):
            found.append(rows.install_row(place, options.pairs))
        alone: float | None = None
        for many in sorted(options.scale):
            with step(f"{many} at once"):
                others = [release, *(another(stack, place, chamber, n) for n in range(many - 1))]
                measured, requests = rows.scale(others, alone)
                found += measured
                alone = requests if alone is None else alone
        found += rows.keeper_rows(began, keeper(idle))
        found += image_rows(chamber, [t.first for t, _ in warm])
        imports, content = import_times(chamber, release), inside(chamber)
    sys.stdout.write(f"\n{report.machine()}\n\n{report.table(found)}\n")
    if not options.dry_run:
        report.write(found, warm, content, imports)
    return int(any(row.met is False for row in found))


def another(stack: ExitStack, place: Runtime, chamber: Chamber, number: int) -> Release:
    """Make one more release, of the same account, in a namespace of its own."""
    name = f"{place.name}-{number}-{time.time_ns() % 10**6}"
    place.cluster.create("/api/v1/namespaces", {"metadata": {"name": name}})
    stack.callback(place.cluster.delete, f"/api/v1/namespaces/{name}")
    return Release(chamber, place, name)


def keeper(idle: Runtime) -> dict[str, float]:
    """Return an idle keeper's metrics now, with all its requests to Argo CD summed up."""
    pods = f"/api/v1/namespaces/{idle.name}/pods"
    listed = idle.cluster.get(f"{pods}?labelSelector=app.kubernetes.io/component=app-proxy") or {}
    text = idle.cluster.text(f"{pods}/{listed['items'][0]['metadata']['name']}:8080/proxy/metrics")
    values = {name: float(v) for name, v in re.findall(r"^(\w+(?:\{[^}]*\})?) ([-0-9.e+]+)$", text, re.MULTILINE)}
    asked = sum(v for name, v in values.items() if name.startswith("gitops_runtime_auth_argocd_request_seconds_count"))
    return {**values, "requests": asked, "at": time.time()}


def image_rows(chamber: Chamber, first: list[float]) -> list[rows.Row]:
    """Weigh the image as a registry would keep it."""
    packed = sum(len(gzip.compress(layer.read_bytes(), 6)) for layer in chamber.layers) / 1e6
    whole = sum(layer.stat().st_size for layer in chamber.layers) / 1e6
    return [
        rows.Row("image, compressed", f"{packed:.0f} MB", f"{whole:.0f} MB unpacked", "", "≤ 60 MB", packed <= 60),
        rows.Row("start to first line of the log", f"{rows.median(first):.2f} s", ""),
    ]


def import_times(chamber: Chamber, release: Release) -> list[tuple[str, str]]:
    """Return the slowest imports of a first install, cumulative, as ``-X importtime`` sees them."""
    release.forget()
    timed = chamber.time(["/app/bin/python", "-X", "importtime", PROGRAM, "ensure"], release.environment())
    found = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)", timed.said)
    whole = sorted(((int(all_), name) for _, all_, _, name in found), reverse=True)[:12]
    release.forget()
    return [(name, f"{all_ / 1000:.1f}") for all_, name in whole]


def inside(chamber: Chamber) -> str:
    """Return what takes the space in the image."""
    folders = ["usr", "app", "etc"]
    du = subprocess.run(["du", "-x", "-k", "-d", "6", *folders], cwd=chamber.root, capture_output=True, text=True)
    sizes = {path: int(size) for size, path in (line.split("\t") for line in du.stdout.splitlines())}
    site = [p for p in sizes if re.fullmatch(r"app/lib/python3\.\d+/site-packages/[^/]+", p)]
    stdlib = [p for p in sizes if re.fullmatch(r"usr/lib/python3\.\d+", p)]
    libraries = sizes["usr"] - sum(sizes[p] for p in stdlib)
    lines = [(sizes[p], p.rpartition("/")[2]) for p in site]
    lines += [(sum(sizes[p] for p in stdlib), "Python's standard library"), (libraries, "Python and shared libraries")]
    return "\n".join(f"- {size / 1024:.1f} MB {name}" for size, name in sorted(lines, reverse=True) if size >= 512)


if __name__ == "__main__":
    sys.exit(main())
