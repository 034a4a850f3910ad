"""Many releases at once against one Argo CD account, one release thrice at once, and one name in two clusters."""

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from dev.cluster import path_of
from dev.keys import understood
from dev.sandbox.tools import CURRENT
from tests.conftest import TABLE
from tests.faults.outcomes import LOGIN
from tests.faults.place import Site
from tests.faults.release import Release
from tests.faults.roles import CONSUMER

RELEASES = 100 if os.environ.get("FULL") == "1" else 12
LOGINS_IN_FLIGHT = 50
"""What Argo CD takes at once; it refuses the others (``util/session``, ``maxConcurrentLoginRequestsCount``)."""


def finish(processes: "list[subprocess.Popen[str]]") -> list[tuple[int, str]]:
    said = [p.communicate(timeout=400)[0] for p in processes]
    return [(p.returncode, words[-600:]) for p, words in zip(processes, said, strict=True)]


@pytest.mark.alone  # whoever else logs in meanwhile meets Argo CD's limit
def test_many_releases_at_once(site: Site, tmp_path: Path, record_property: Callable[[str, str], None]) -> None:
    """None fails, none is locked out, each has exactly one key; the argocd CLI beside it, as it is used today."""
    (account, password), between = site.new_account(), site.between()

    def make(_: int) -> Release:
        namespace = site.new_namespace()
        one = Release(site, tmp_path / namespace, account, password, namespace, between, timeout=300)
        one.token_of("ensure")
        return one

    releases = [make(n) for n in range(RELEASES)]
    began = time.monotonic()
    ended = finish([one.start() for one in releases])
    took = time.monotonic() - began
    assert [said for code, said in ended if code] == []
    for one in releases:
        entry = one.entry()
        assert entry is not None
        assert one.live() == [entry.id]
        assert one.record() == {}
    by_cli = _compare_with_the_cli(site, tmp_path)
    record_property(TABLE, f"{RELEASES} hooks at once: all done in {took:.0f} s\n{by_cli}")


def _compare_with_the_cli(site: Site, folder: Path) -> str:
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
    if RELEASES > LOGINS_IN_FLIGHT:
        assert done < RELEASES, "what the hook is measured against has changed"
    return f"{RELEASES} argocd CLI logins at once: {done} done, {RELEASES - done} refused with the right password"


def test_the_same_release_thrice_at_once(release: Callable[[], Release]) -> None:
    """Each reads the Secret while its login goes on, so the one whose login is slow has seen none, and makes a key."""
    one = release()
    traffic = one.between.begin((LOGIN, 1, "delay"))
    ended = finish([one.start() for _ in range(3)])
    assert [said for code, said in ended if code] == []
    made = {understood(key).id for key in traffic.keys}
    assert len(made) >= 2, "they did not overlap"
    entry = one.entry()
    assert entry is not None
    assert entry.id in made
    assert one.live() == [entry.id], "the losers' keys are revoked"
    assert one.record() == {}, "a login that came to its good end is not remembered"


def test_the_same_names_in_another_cluster_are_another_release(site: Site, release: Callable[[], Release]) -> None:
    """One Argo CD serves both: neither ever revokes the other's key, whoever comes first or again.

    The two clusters share a CA, as those do that were cloned from one image; their namespaces' UIDs differ.
    """
    here = release()
    there = replace(here, between=site.between(), folder=here.folder.parent / "there")
    there.between.kubernetes.namespace = {"uid": "11111111-2222-3333-4444-555555555555"}
    # One Argo CD at one address serves both.
    there.between.argocd.close()
    there.between.argocd = here.between.argocd
    kept: dict[str, dict[str, object]] = {}

    def run(one: Release, name: str) -> str:
        """Run with the cluster as this release left it: the Secret is its own, or not there."""
        if name in kept:
            site.cluster.create(path_of(here.namespace, "secrets"), kept[name])
        done = one.run()
        assert done.code == 0, done.said
        found, entry = one.secret(), one.entry()
        assert found
        assert entry is not None
        found["metadata"] = {k: found["metadata"][k] for k in ("name", "labels", "annotations")}
        kept[name] = found
        site.cluster.delete(one.path)
        return entry.id

    def alive() -> set[str]:
        return {key.id for key in site.argocd.account(here.account, site.session).keys}

    first, second = run(here, "here"), run(there, "there")
    assert alive() == {first, second}
    site.argocd.delete_key(here.account, first, site.session)
    third = run(here, "here")
    assert third != first
    assert run(there, "there") == second
    assert alive() == {second, third}


def test_a_copied_secret_is_not_another_clusters_key(site: Site, release: Callable[[], Release]) -> None:
    """A backup that is restored into another cluster brings the key along: the keeper there makes one of its own."""
    one = release()
    assert one.run().code == 0
    theirs = one.entry()
    one.between.kubernetes.namespace = {"uid": "11111111-2222-3333-4444-555555555555"}
    site.consumers(one.namespace, CONSUMER)
    assert one.run(command="keep").code == 0
    ours = one.entry()
    assert theirs is not None
    assert ours is not None
    assert ours.id != theirs.id
    assert sorted(one.live()) == sorted([ours.id, theirs.id]), "the other cluster's key is in use there"


def test_a_cluster_whose_ca_was_rotated_is_the_same_one(release: Callable[[], Release]) -> None:
    one = release()
    assert one.run().code == 0
    before = one.entry()
    ca = one.folder / "serviceaccount" / "ca.crt"
    ca.write_bytes(ca.read_bytes() + trustme.CA(organization_name="the next one").cert_pem.bytes())
    again = one.run()
    assert (again.code, again.traffic.logins) == (0, []), again.said
    one.site.cluster.delete(one.path)
    assert one.run().code == 0
    after = one.entry()
    assert before is not None
    assert after is not None
    assert before.id.split(".")[1] == after.id.split(".")[1]
    assert one.live() == [after.id], "what it made before is still its own to revoke"
