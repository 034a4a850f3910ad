"""Many releases at once against one Argo CD account, and one release twice at once."""

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev.cluster import path_of
from dev.keys import KEY_SECRET, understood
from dev.sandbox.tools import CURRENT
from tests.faults.place import Site, identity
from tests.faults.proxy import FaultProxy
from tests.faults.release import Release

RELEASES = 100 if os.environ.get("FULL") == "1" else 12
LOGINS_IN_FLIGHT = 50
"""What Argo CD takes at once; it refuses the others (``util/session``, ``maxConcurrentLoginRequestsCount``)."""


def finish(processes: "list[subprocess.Popen[str]]") -> list[tuple[int, str]]:
    said = [p.communicate(timeout=400)[0] for p in processes]
    return [(p.returncode, words[-600:]) for p, words in zip(processes, said, strict=True)]


def test_many_releases_at_once(site: Site, tmp_path: Path) -> None:
    """None fails, none is locked out, each has exactly one key; the argocd CLI beside it, as it is used today."""
    account, password = site.new_account()

    def make(_: int) -> Release:
        namespace = site.new_namespace()
        folder = tmp_path / namespace
        return Release(site, folder, account, password, namespace, identity(site.cluster, namespace), timeout=300)

    releases = [make(n) for n in range(RELEASES)]
    argocd = FaultProxy("argocd", site.argocd_at, site.tls)
    kubernetes = FaultProxy("kubernetes", site.apiserver, site.tls)
    began = time.monotonic()
    try:
        ended = finish([one.start(argocd.port, kubernetes.port) for one in releases])
    finally:
        argocd.close()
        kubernetes.close()
    took = time.monotonic() - began
    print(f"\n{RELEASES} hooks at once: {sum(code == 0 for code, _ in ended)} done in {took:.0f} s")
    assert [said for code, said in ended if code] == []
    for one in releases:
        entry = one.entry()
        assert entry is not None
        assert one.live() == [entry.id]
    _compare_with_the_cli(site, tmp_path)


def _compare_with_the_cli(site: Site, folder: Path) -> None:
    account, password = site.new_account()

    def login(number: int) -> int:
        where = f"{site.argocd_at[0]}:{site.argocd_at[1]}"
        config = str(folder / f"cli-{number}")
        words = ["login", where, "--insecure", "--username", account, "--password", password, "--config", config]
        done = subprocess.run([CURRENT / "argocd", *words], capture_output=True, timeout=400, check=False)
        return done.returncode

    with ThreadPoolExecutor(RELEASES) as pool:
        codes = list(pool.map(login, range(RELEASES)))
    done = sum(code == 0 for code in codes)
    print(f"{RELEASES} argocd CLI logins at once: {done} done, {RELEASES - done} refused with the right password")
    if RELEASES > LOGINS_IN_FLIGHT:
        assert done < RELEASES, "what the hook is measured against has changed"


def test_the_same_release_thrice_at_once(site: Site, release: Callable[[], Release]) -> None:
    """Each reads the Secret while its login goes on, and Argo CD takes logins in turn: all see none and make a key."""
    one = release()
    argocd = FaultProxy("argocd", site.argocd_at, site.tls)
    kubernetes = FaultProxy("kubernetes", site.apiserver, site.tls)
    try:
        ended = finish([one.start(argocd.port, kubernetes.port) for _ in range(3)])
    finally:
        argocd.close()
        kubernetes.close()
    assert [said for code, said in ended if code] == []
    made = {understood(key).id for key in argocd.keys}
    assert len(made) >= 2, "they did not overlap"
    entry = one.entry()
    assert entry is not None
    assert entry.id in made
    assert one.live() == [entry.id], "the losers' keys are revoked"


def test_the_same_names_in_another_cluster_are_another_release(site: Site, release: Callable[[], Release]) -> None:
    """One Argo CD serves both: neither ever revokes the other's key, whoever comes first or again."""
    here = release()
    there = Release(
        site, here.folder.parent / "there", here.account, here.password, here.namespace, here.token, cluster="second"
    )
    secret = path_of(here.namespace, "secrets", KEY_SECRET)
    kept: dict[str, dict[str, object]] = {}

    def run(one: Release, name: str) -> str:
        """Run with the cluster as this release left it: the Secret is its own, or not there."""
        if name in kept:
            site.cluster.create(path_of(here.namespace, "secrets"), kept[name])
        done = one.run()
        assert done.code == 0, done.said
        found = site.cluster.get(secret)
        entry = one.entry()
        assert found
        assert entry is not None
        found["metadata"] = {k: found["metadata"][k] for k in ("name", "labels", "annotations")}
        kept[name] = found
        site.cluster.delete(secret)
        assert one.live() == [entry.id]
        return entry.id

    first, second = run(here, "here"), run(there, "there")
    site.argocd.delete_key(here.account, first, site.session)
    third = run(here, "here")
    assert third != first
    assert run(there, "there") == second
    keys = {key.id for key in site.argocd.account(here.account, site.session).keys}
    assert keys == {second, third}
