"""Runs every check, one after the other, and sums them up: ``make test``."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.sandbox import tools

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Check:
    """A command and the group it belongs to."""

    group: str
    name: str
    command: tuple[str, ...]


def _pytest(*folders: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "pytest", "-q", *folders)


def _sandbox(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "dev.sandbox", *words)


def _inside(*command: str) -> tuple[str, ...]:
    """Run in the sandbox's network, where Services and the API server have their own addresses."""
    return command if os.environ.get("E2E_KUBECONFIG") else _sandbox("exec", "--", *command)


_FOUR_FILES_AT_ONCE = ("-n4", "--dist=loadfile", "--no-loadscope-reorder")
"""In the order of tests/e2e/conftest.py."""
_THREE_FILES_AT_ONCE = ("-n3", "--dist=loadfile", "--no-loadscope-reorder")
"""In the order of tests/faults/conftest.py."""

CHECKS = (
    Check("tools", "client programs", _sandbox("tools")),  # first: yamllint's settings come with them
    Check("lint", "ruff", ("ruff", "check", ".")),
    Check("lint", "ruff format", ("ruff", "format", "--check", "-q", ".")),
    Check("lint", "mypy --strict", ("mypy",)),
    Check("lint", "layers", ("lint-imports", "--no-cache", "--no-logo")),
    # Before all tests: it compiles them once, which each of their processes would do otherwise.
    Check("lint", "collecting tests", _pytest("--collect-only", "-qq", "tests")),
    Check(
        "lint",
        "yamllint",
        ("yamllint", "-c", str(tools.CT_CONFIG / "lintconf.yaml"), "chart/values.yaml", "chart/ci", "ct.yaml"),
    ),
    Check("lint", "actionlint", ("actionlint",)),
    Check("lint", "generated files", (sys.executable, "-m", "dev.generate", "--check")),
    Check("chart", "helm lint", ("helm", "lint", "chart")),
    Check("chart", "helm unittest", ("helm", "unittest", "--strict", "-f", "tests/**/*_test.yaml", "chart")),
    Check("chart", "ct lint", ("ct", "lint", "--config", "ct.yaml")),
    Check("chart", "values contract", _pytest("-nauto", "--dist=worksteal", "tests/chart")),
    # More processes than cores, because many tests wait.
    Check("unit", "unit tests", _pytest("-n4", "--dist=worksteal", "tests/unit")),
    Check("dev", "development tools", _pytest("-nauto", "--dist=worksteal", "tests/dev")),
    Check("docs", "documentation", _pytest("tests/docs")),
    Check("cluster", "sandbox", _sandbox("up")),
    Check("cluster", "image", _sandbox("load-image")),
    Check("cluster", "end to end", _pytest(*_FOUR_FILES_AT_ONCE, "-m", "not alone and not zoo", "tests/e2e")),
    Check("cluster", "end to end, alone", _pytest("-m", "alone and not zoo", "tests/e2e")),
    Check("cluster", "Flux", _pytest("tests/e2e/test_flux.py", "-k", "refused_password_is_sent_once")),
    Check("cluster", "faults", _inside(*_pytest(*_THREE_FILES_AT_ONCE, "-m", "not alone", "tests/faults"))),
    Check("cluster", "faults, alone", _inside(*_pytest("-m", "alone", "tests/faults"))),
)


def impossible(check: Check) -> str:
    """Say why a check can't be made on the cluster of E2E_KUBECONFIG; nothing when it can, or on the sandbox."""
    if not os.environ.get("E2E_KUBECONFIG"):
        return ""
    if check.name in ("sandbox", "image"):
        return "the cluster of E2E_KUBECONFIG is there, with E2E_IMAGE"
    if check.name == "Flux":
        return "only the sandbox can start its helm-controller"
    if check.name.startswith("faults") and not os.environ.get("FAULTS_ARGOCD"):
        return "they dial Argo CD from this machine: set FAULTS_ARGOCD=HOST:PORT"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks that the flags ask for and return 0 only if all passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="leave the cluster out")
    parser.add_argument("--only", choices=sorted({c.group for c in CHECKS}), help="one group of checks")
    options = parser.parse_args(arguments)
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{tools.CURRENT}:{os.environ['PATH']}",
        "HELM_PLUGINS": str(tools.PLUGINS),
        "CT_CONFIG_DIR": str(tools.CT_CONFIG),
        "PYTHONDONTWRITEBYTECODE": "",  # else every process compiles all that it imports
    }
    results: list[tuple[Check, float, bool]] = []
    left: list[tuple[Check, str]] = []
    for check in CHECKS:
        left_out = (options.only and check.group not in (options.only, "tools")) or (
            options.fast and check.group == "cluster"
        )
        if left_out:
            continue
        if why := impossible(check):
            left.append((check, why))
            continue
        print(f"\n== {check.name}", flush=True)
        began = time.monotonic()
        ok = subprocess.run(check.command, cwd=ROOT, env=environment, check=False).returncode == 0
        results.append((check, time.monotonic() - began, ok))
        if check.name in ("client programs", "sandbox", "image") and not ok:
            break  # nothing that follows could run
    print("\nSummary")
    for check, seconds, ok in results:
        print(f"  {'ok  ' if ok else 'FAIL'}  {check.name:20} {seconds:7.1f} s")
    for check, why in left:
        print(f"  --    {check.name:20} left out: {why}")
    failed = sum(not ok for _, _, ok in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
