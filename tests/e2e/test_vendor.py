"""Beside the vendor's chart, in Argo CD's namespace: pods that use the key all the time are not refused.

A stand-in of our own writing takes the vendor's place (tests/vendor), with the values files of docs/codefresh.md.
"""

import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.cluster import path_of
from dev.keys import StoredKey, stored
from dev.runtime import BLOCK, CONFIG, IMAGE, within
from dev.site import Site
from tests.docs.blocks import ALL, ROOT
from tests.e2e.counts import STAND_IN, VENDORS_CONSUMERS, Counts

NAMESPACE = "argocd"
OURS, VENDORS = "gra-e2e-key", "gra-e2e-vendor"
SECRET = "argocd-runtime-key"
INTERVAL = 10
UNTIL_ITS_PODS_HAVE_ENDED = ("--wait", "--cascade", "foreground")
"""As the page says: what still runs may use the key."""


class Place(Site):
    """Argo CD's namespace with an account, a folder with the page's files, and what is installed from it."""

    def __init__(self, folder: Path, umbrella: bool, program: str) -> None:
        super().__init__()
        self.umbrella = umbrella
        self._folder, self._program = folder, program
        self.accounts: list[str] = []
        self.counts = Counts(self, NAMESPACE, "gra-e2e-counts")
        for block in ALL:
            if block.page == "docs/codefresh.md" and "file" in block.options:
                file = folder / block.options["file"]
                file.parent.mkdir(exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
        (folder / "chart").symlink_to(ROOT / "chart")
        (folder / "vendor").symlink_to(STAND_IN)
        (folder / "umbrella" / "charts").mkdir()
        (folder / "umbrella" / "charts" / "gitops-runtime-auth").symlink_to(ROOT / "chart")
        (folder / "umbrella" / "charts" / "gitops-runtime").symlink_to(STAND_IN)

    def new_account(self) -> None:
        """Make an account, with its password in a Secret of the same name."""
        name = f"gra-e2e-{secrets.token_hex(3)}"
        self.account(name)
        body: dict[str, object] = {"metadata": {"name": name}, "stringData": {"password": f"password-of-{name}"}}
        self.create(path_of(NAMESPACE, "secrets"), body)
        self.accounts.append(name)

    def install(self, **keeper: object) -> None:
        """Install or upgrade, as the page says, for the account that was made last."""
        prefix = "gitops-runtime-auth." if self.umbrella else ""
        repository, _, tag = IMAGE.rpartition(":")
        given: dict[str, object] = {
            f"{prefix}image.repository": repository,
            f"{prefix}image.tag": tag,
            f"{BLOCK}.auth.username": self.accounts[-1],
            f"{BLOCK}.auth.passwordSecretKeyRef.name": self.accounts[-1],
            **{f"{prefix}keeper.{key}": value for key, value in {"interval": 2, "gracePeriod": 8, **keeper}.items()},
        }
        ours = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
        if self.umbrella:
            self.helm("upgrade", "--install", OURS, "umbrella", "--wait", *ours, *self.counts.sets("gitops-runtime."))
            return
        self.helm("upgrade", "--install", OURS, "chart", "-f", "auth.yaml", "--wait", *ours)
        self.helm("upgrade", "--install", VENDORS, "vendor", "-f", "vendor.yaml", "--wait", *self.counts.sets())

    def uninstall(self, *flags: str) -> None:
        """Take away all that is installed; ``flags`` say what helm is to wait for."""
        if not self.umbrella:
            self.helm("uninstall", VENDORS, "--ignore-not-found", *flags)
        self.helm("uninstall", OURS, "--ignore-not-found", *(flags if self.umbrella else ()))

    def helm(self, *words: str) -> str:
        """Run helm in the folder and return all that it printed."""
        command = [self._program, *words, "-n", NAMESPACE, "--kubeconfig", CONFIG]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def key(self) -> StoredKey:
        """Return the key in the Secret, which must be there."""
        found = stored(self.cluster, NAMESPACE, SECRET)
        assert found is not None
        return found

    def all_use(self, key: StoredKey) -> bool:
        """Tell whether pods of all consumers run, and each with this key."""
        return self.counts.in_use() == {(name, key.id) for name in VENDORS_CONSUMERS}

    def all_use_another_than(self, old: StoredKey) -> bool:
        """Tell whether there is another key, and all pods use that one."""
        found = stored(self.cluster, NAMESPACE, SECRET)
        return found is not None and found.id != old.id and self.all_use(found)

    def live_keys(self) -> list[str]:
        """Return the keys of all accounts that were made here."""
        return [key.id for name in self.accounts for key in self.argocd.account(name, self.session).keys]


@contextmanager
def installed(folder: Path, umbrella: bool, **keeper: object) -> Iterator[Place]:
    """Install both in one of the page's two ways: pods of all consumers use the key."""
    place = Place(folder, umbrella, "helm" if umbrella else "helm4")
    try:
        place.new_account()
        place.install(**keeper)
        key = place.key()
        within(30, lambda: place.all_use(key))
        yield place
    finally:
        place.uninstall()
        place.close()


@pytest.mark.parametrize("umbrella", [True, False], ids=["one umbrella chart", "two releases"])
def test_no_pod_is_refused_from_install_to_uninstall(tmp_path: Path, umbrella: bool) -> None:
    with installed(tmp_path, umbrella, maxAge="20s") as place:
        assert place.helm("test", OURS).count("  accepted") == len(VENDORS_CONSUMERS)
        first = place.key()
        place.cluster.delete(path_of(NAMESPACE, "secrets", SECRET))
        within(60, lambda: place.all_use_another_than(first), "a deleted Secret")
        second = place.key()
        within(90, lambda: place.all_use_another_than(second), "a key that is too old")
        third = place.key()
        place.new_account()
        place.install()
        within(60, lambda: place.all_use_another_than(third), "an upgrade to another account")
        assert place.key().account == place.accounts[1]
        place.uninstall(*UNTIL_ITS_PODS_HAVE_ENDED)
        assert place.counts.refusals() == 0
        uses = place.counts.uses()
        assert set(uses) == set(VENDORS_CONSUMERS)
        assert min(uses.values()) > 100
        assert place.live_keys() == []


@pytest.mark.alone
@pytest.mark.parametrize(
    "umbrella",
    [pytest.param(True, id="one umbrella chart"), pytest.param(False, id="two releases", marks=pytest.mark.zoo)],
)
def test_a_revoked_key_is_refused_for_the_interval_and_five_seconds_at_most(tmp_path: Path, umbrella: bool) -> None:
    with installed(tmp_path, umbrella, interval=INTERVAL) as place:
        assert place.counts.refusals() == 0
        old, revoked_at = place.key(), time.time()
        place.argocd.delete_key(old.account, old.id, place.session)
        within(60, lambda: place.all_use_another_than(old))
        uses = place.counts.uses()
        within(10, lambda: all(n > uses[name] + 20 for name, n in place.counts.uses().items()), "they go on")
        assert 0 < place.counts.last_refusal() - revoked_at < INTERVAL + 5
        place.uninstall()
        assert place.live_keys() == []
