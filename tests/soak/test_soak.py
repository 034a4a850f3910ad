"""Life compressed: keys revoked, Secrets deleted and spoilt, servers restarted, at random, for SOAK_SECONDS.

Always: no stale key, one live key, no failed login, memory flat. An hour with ``make soak``.
Two keepers run, as an upgrade has for a moment.
"""

import base64
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml
from kubernetes.client import ApiException

from dev.argocd import ArgoCDError
from dev.cluster import path_of
from dev.keys import KEY_SECRET
from dev.runtime import CHART, CONSUMERS, Runtime, runtime, within
from dev.sandbox import controlplane, processes

SECONDS = float(os.environ.get("SOAK_SECONDS") or 180)
SEED = int(os.environ.get("SOAK_SEED") or 6)
STALE_AFTER = 90.0
"""Seconds that three rollouts on two cores, or a restart of Argo CD, may take."""
ORPHANED_FOR = yaml.safe_load(Path(CHART, "values.yaml").read_text())["hook"]["timeout"] + 60.0
"""Seconds that a key which nobody stored counts as being made, beside one no older."""
REVOKING = ("revoke", "both")
RESETS, RESETS_WINDOW = 2, 660.0
"""So many revocations within so many seconds: with one more, the keeper takes it that somebody resets the account's
keys, and makes the next one later (tests/faults/test_storm.py)."""


def metrics(release: Runtime) -> list[dict[str, float]]:
    """Return each keeper's metrics, through the API server's proxy."""
    pods = f"/api/v1/namespaces/{release.name}/pods"
    found = release.cluster.get(f"{pods}?labelSelector=app.kubernetes.io/component=app-proxy") or {}
    texts = [release.cluster.text(f"{pods}/{p['metadata']['name']}:8080/proxy/metrics") for p in found["items"]]
    lines = [re.findall(r"^(\w+(?:\{[^}]*\})?) ([-0-9.e+]+)$", text, re.MULTILINE) for text in texts]
    return [{name: float(value) for name, value in pairs} for pairs in lines]


def memory(release: Runtime) -> list[float]:
    """Return the memory of each keeper, in bytes."""
    return [m["process_resident_memory_bytes"] for m in metrics(release)]


def restarts(release: Runtime) -> int:
    """Return how often containers of the Runtime were started again."""
    pods = (release.cluster.get(f"/api/v1/namespaces/{release.name}/pods") or {})["items"]
    return sum(c["restartCount"] for p in pods for c in p["status"].get("containerStatuses") or [])


def test_soak() -> None:
    chance, done = random.Random(SEED), Counter[str]()
    with runtime("soak") as release:
        release.install(*release.sets(**{"app-proxy__replicas": "2", "keeper__interval": "1"}))
        secret = path_of(release.name, "secrets", KEY_SECRET)

        revoked: list[float] = []

        def revoke() -> None:
            revoked.append(time.monotonic())
            entry = release.key()
            if entry and entry.id:
                release.revoke(entry)

        def both() -> None:
            revoke()
            release.cluster.delete(secret)

        def spoil(data: dict[str, str]) -> None:
            found = release.cluster.get(secret)
            if found:
                release.cluster.replace(secret, {**found, "data": data})

        def restart_argocd() -> None:
            pods = "/api/v1/namespaces/argocd/pods"
            label = "labelSelector=app.kubernetes.io/name=argocd-server"
            for pod in (release.cluster.get(f"{pods}?{label}") or {})["items"]:
                release.cluster.delete(f"{pods}/{pod['metadata']['name']}")
            within(STALE_AFTER, release.works)

        def restart_apiserver() -> None:
            processes.stop("kube-apiserver")
            controlplane.start_apiserver()
            within(STALE_AFTER, release.works)

        deeds: dict[str, tuple[int, Callable[[], None]]] = {
            "revoke": (30, revoke),
            "delete": (30, lambda: release.cluster.delete(secret)),
            "both": (10, both),
            "empty": (10, lambda: spoil({})),
            "garbage": (10, lambda: spoil({"token": base64.b64encode(b"\xffjunk").decode()})),
            "restart Argo CD": (2, restart_argocd),
        }
        if not os.environ.get("E2E_KUBECONFIG"):
            deeds["restart Kubernetes"] = (1, restart_apiserver)
        within(STALE_AFTER, release.one_key)
        began, early = time.monotonic(), list[float]()
        while time.monotonic() - began < SECONDS:
            if not early and time.monotonic() - began > SECONDS / 3:  # by then all modules are loaded
                early = memory(release)
            resets = sum(time.monotonic() - when < RESETS_WINDOW for when in revoked)
            possible = {name: weight for name, (weight, _) in deeds.items() if resets < RESETS or name not in REVOKING}
            what = chance.choices(list(possible), list(possible.values()))[0]
            try:
                deeds[what][1]()
            except (ApiException, ArgoCDError):
                continue  # a keeper was faster
            done[what] += 1
            if chance.random() < 0.5:
                within(STALE_AFTER, release.works, f"a working key after {what}, {dict(done)}")
            else:
                time.sleep(chance.uniform(0, 1))
        within(ORPHANED_FOR + STALE_AFTER, lambda: release.one_key() and all(map(release.ready, CONSUMERS)))
        last = metrics(release)
        assert restarts(release) == 0, "a keeper died"
        print(f"{SECONDS:.0f} s: {dict(done)}; MB {[round(size / 2**20) for size in memory(release)]}")
        assert sum(done.values()) >= SECONDS / 7
        keys, logins = (
            sum(m.get(f'gitops_runtime_auth_refusals_total{{what="{what}"}}', 0) for m in last)
            for what in ("key", "login")
        )
        assert (keys > 0, logins) == (True, 0), "keys were revoked, so a metric without refused keys is another one"
        assert sum(m["gitops_runtime_auth_regenerations_total"] for m in last) > 0
        assert max(memory(release)) < max(early) + (12 << 20)
