"""A refused password is sent once, and what Argo CD refuses at once was never looked at."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev.argocd import ArgoCD, ArgoCDError
from gitops_runtime_auth.argocd.login import FASTEST_VERDICT
from tests.faults.place import Site
from tests.faults.release import Release

LOGIN = "argocd POST /api/v1/session"
IN_FLIGHT = 70
"""Argo CD takes 50 (``util/session``, ``maxConcurrentLoginRequestsCount``) and refuses the others at once."""


def test_no_verdict_on_a_password_is_faster_than_the_limit(site: Site) -> None:
    """Wrong, unknown and locked: a refusal under 0.5 s can be none of them, and so may be tried again."""
    name, password = site.new_account()
    took = []
    for user, word in [*[(name, "wrong")] * 6, (name, password), ("nobody-of-that-name", "x")]:
        began = time.monotonic()
        with pytest.raises(ArgoCDError, match="Invalid username or password"):
            site.argocd.login(user, word)
        took.append(time.monotonic() - began)
    assert min(took) >= FASTEST_VERDICT, took


def test_each_run_sends_a_refused_password_once(release: Callable[[], Release]) -> None:
    """Three runs are three failures: the account is not locked, and the right password works at once."""
    one = release()
    (one.folder / "credential" / "value").write_text("canary-wrong-password")
    for _ in range(3):
        refused = one.run()
        assert refused.code == 77
        assert refused.seen.count(LOGIN) == 1
        assert "canary" not in refused.said
    assert one.secret() is None
    (one.folder / "credential" / "value").write_text(one.password)
    assert one.run().code == 0


def test_what_is_refused_faster_than_the_limit_was_never_looked_at(site: Site) -> None:
    """More right passwords at once than Argo CD takes: every refusal is a fast one and none counts as a failure."""
    accounts = [site.new_account(), site.new_account()]  # two, for the logins of one are taken in turn

    def log_in(number: int) -> tuple[bool, float]:
        argocd, began = ArgoCD(site.way), 0.0
        try:
            argocd.send("GET", "/api/version")  # the handshake is not what is timed
            together.wait(60)
            began = time.monotonic()
            argocd.login(*accounts[number % 2])
        except ArgoCDError:
            return False, time.monotonic() - began
        finally:
            argocd.close()
        return True, time.monotonic() - began

    together = threading.Barrier(IN_FLIGHT)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        ended = list(pool.map(log_in, range(IN_FLIGHT)))
    refused = [seconds for accepted, seconds in ended if not accepted]
    print(f"\n{IN_FLIGHT} logins at once, all right: {len(refused)} refused, the slowest after {max(refused):.2f} s")
    each = [sum(not accepted for accepted, _ in ended[half::2]) for half in (0, 1)]
    assert max(each) >= 5, "as many as lock an account, if they were looked at"
    assert max(refused) < FASTEST_VERDICT
    for name, password in accounts:
        assert site.argocd.login(name, password), "the account is not locked"
