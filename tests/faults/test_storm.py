"""Somebody else owns ``argocd-secret`` and takes the account's keys away at every sync."""

import os
import time
from collections.abc import Callable

from dev.cluster import path_of
from dev.runtime import within
from tests.conftest import TABLE
from tests.faults.outcomes import LOGIN
from tests.faults.place import Site
from tests.faults.release import Release
from tests.faults.roles import CONSUMERS
from tests.faults.running import keeper

WIPES, SECONDS = 24, 120.0
MOST = 12
"""Logins, and restarts of consumers, in that time. There were 20 and 60."""
HEALS = 620.0
"""Seconds: the longest pause between two keys is ten minutes."""


def test_keys_that_are_reset_again_and_again(
    site: Site, release: Callable[[], Release], record_property: Callable[[str, str], None]
) -> None:
    """The keeper says what happens and what to do, makes keys at growing intervals, and leaves consumers alone."""
    one = release()
    one.consumers = tuple(f"deployment/{name}" for name in CONSUMERS)
    site.consumers(one.namespace, *CONSUMERS)
    one.values = {"keeper": {"interval": 2}}
    assert one.run().code == 0
    with keeper(one) as running:
        began = time.monotonic()
        for n in range(WIPES):
            time.sleep(max(0.0, began + n * SECONDS / WIPES - time.monotonic()))
            site.wipe_keys(one.account)
        time.sleep(max(0.0, began + SECONDS - time.monotonic()))
        seen = running.traffic.seen
        restarts = sum(step.startswith("kubernetes PATCH /apis/apps/v1/deployments/") for step in seen)
        logins = seen.count(LOGIN)
        record_property(TABLE, f"{WIPES} wipes in {SECONDS:.0f} s: {logins} logins, {restarts} restarts of 3 consumers")
        assert 1 <= logins <= MOST
        assert len(CONSUMERS) <= restarts <= MOST
        assert running.metric("keys_reset_by_others") == 1
        assert 3 <= running.metric("key_losses_total") <= WIPES
        assert not running.ready(), "it would say that all is well"
        _is_told(one)
        if os.environ.get("FULL") == "1":
            within(HEALS, lambda: running.ready() and one.holds_a_good_key(), "it heals by itself")
            entry = one.entry()
            assert entry is not None
            assert one.live() == [entry.id]


def _is_told(one: Release) -> None:
    events = (one.site.cluster.get(path_of(one.namespace, "events")) or {})["items"]
    told = [event["message"] for event in events if event["reason"] == "ApiKeysResetByOthers"]
    assert len(told) == 1, "once, and not at each check"
    for word in (f"accounts.{one.account}.tokens", "ignoreDifferences", "External Secrets", "Terraform"):
        assert word in told[0]
