"""A refused password is sent once, and what Argo CD refuses at once was never looked at."""

import time
from collections.abc import Callable

import pytest

from hook.argocd import FASTEST_VERDICT
from hook.errors import KeyRefusedError
from tests.faults.place import Release, Site

LOGIN = "argocd POST /api/v1/session"


def test_no_verdict_on_a_password_is_faster_than_the_limit(site: Site) -> None:
    """Wrong, unknown and locked: a refusal under 0.5 s can be none of them, and so may be tried again."""
    name, password = site.account()
    took = []
    for user, word in [*[(name, "wrong")] * 6, (name, password), ("nobody-of-that-name", "x")]:
        began = time.monotonic()
        with pytest.raises(KeyRefusedError, match="locked account"):
            site.argocd._send("POST", "/api/v1/session", body={"username": user, "password": word}, timeout=60)
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
