"""One Argo CD account and many logins: refused ones as a user repeats them, right ones all at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from dev.runtime import CHART, Runtime, runtime

pytestmark = pytest.mark.alone
MANY = 10
REFUSALS = 6
"""More than the five failed logins after which Argo CD locks an account."""


def test_upgrades_with_a_wrong_password_are_one_failed_login() -> None:
    """By the server's own count, with one Pod for each upgrade: the first refusal is recorded."""
    with runtime("e2e-lockout") as release:
        sets = release.hook_alone()
        release.install(*sets)
        release.without_keeper("key-keeper")  # or it issues another key before the wrong password is mounted
        stored = release.key()
        assert stored is not None
        release.revoke(stored)
        release.secret(release.name, password="not-the-password")
        pods: set[str] = set()
        said: list[str] = []
        before = release.login_failures()
        for _ in range(REFUSALS):
            said.append(release.helm("upgrade", "r", CHART, "--timeout", "90s", *sets, check=False))
            listed = release.cluster.get(f"/api/v1/namespaces/{release.name}/pods") or {}
            pods |= {pod["metadata"]["uid"] for pod in listed["items"]}
        failures = release.login_failures() - before
        assert 1 <= failures <= 2, "once more at the most, where a busy machine leaves it in doubt"
        assert "refuses the login" in said[0], said
        assert sum("It is not sent again" in one for one in said) >= REFUSALS - failures, said
        assert len(pods) == REFUSALS


def test_ten_installs_at_once_as_one_account() -> None:
    """None fails and none is locked out, through helm; each has exactly one key."""
    with ExitStack() as stack:
        releases = [stack.enter_context(runtime("e2e-at-once")) for _ in range(MANY)]
        shared = releases[0].name
        for other in releases[1:]:
            other.secret(shared, password=f"password-of-{shared}")

        def install(release: Runtime) -> str:
            return release.install(*release.hook_alone(shared), wait=False)

        before = releases[0].login_failures()
        with ThreadPoolExecutor(MANY) as pool:
            said = list(pool.map(install, releases))
        assert all("STATUS: deployed" in one for one in said), said
        stored = [release.key() for release in releases]
        assert sorted(releases[0].keys(shared)) == sorted(key.id for key in stored if key)
        assert len(releases[0].keys(shared)) == MANY
        assert all(release.works() for release in releases)
        assert releases[0].login_failures() == before
