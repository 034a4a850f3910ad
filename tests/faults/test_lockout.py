"""A refused password is sent once, by whomever, and what Argo CD refuses at once was never looked at."""

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, repeat

import pytest

from dev.argocd import ArgoCD, ArgoCDError
from tests.faults.outcomes import LOGIN
from tests.faults.place import Site
from tests.faults.release import Release
from tests.faults.roles import CONSUMER
from tests.faults.scenarios import LOCKOUT_SECONDS
from tests.faults.traffic import Traffic

FASTEST_VERDICT = 0.5
"""Seconds by which Argo CD delays every login that it looks at, at least; what the product goes by."""
IN_FLIGHT = 70
"""Argo CD takes 50 (``util/session``, ``maxConcurrentLoginRequestsCount``) and refuses the others at once."""
WRONG = "canary-wrong-password"
SENDS = (1, 2)
"""How often one run may send a wrong password: on a busy machine, where times prove nothing, once more."""


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


def test_a_refused_password_is_sent_once_by_whomever(release: Callable[[], Release]) -> None:
    """An installer that retries, a keeper that starts, an uninstall: one send. Another password is sent at once."""
    one = release()
    one.site.consumers(one.namespace, CONSUMER)
    one.mount_credential(WRONG)
    first = one.run()
    assert first.code == 77
    assert len(first.traffic.logins) in SENDS
    for command in ("ensure", "ensure", "keep", "rollback"):
        again = one.run(command=command)
        assert again.code == {"keep": 75, "rollback": 0}.get(command, 77)
        assert again.traffic.seen.count(LOGIN) == 0, command
        assert re.search(r"not sent again for 3[0-9]{2} s\b", again.said)
        assert WRONG not in again.said
    assert one.secret() is None
    one.mount_credential(f"{WRONG}-too")
    other = one.run()
    assert other.code == 77
    assert len(other.traffic.logins) in SENDS, "another wrong password is another one"
    one.mount_credential(one.password)
    assert one.run().code == 0
    assert one.record() == {}, "a login that succeeds empties the record"


def test_a_refused_password_is_sent_again_when_argocd_has_forgotten(release: Callable[[], Release]) -> None:
    """The password may be right by then, or the account was locked by somebody else."""
    one = release()
    one.mount_credential(WRONG)
    assert one.run().code == 77
    one.age_record(LOCKOUT_SECONDS - 10)
    assert one.run().traffic.logins == []
    one.age_record(10)
    assert len(one.run().traffic.logins) in SENDS


def test_uninstall_after_a_refusal_sends_no_password(release: Callable[[], Release]) -> None:
    """Nor does the next install, for as long as the refusal counts: Flux uninstalls and installs for each retry."""
    one = release()
    one.mount_credential(WRONG)
    assert one.run().code == 77
    left = one.run(command="cleanup")
    assert (left.code, left.traffic.seen.count(LOGIN)) == (0, 0)
    again = one.run()
    assert (again.code, again.traffic.seen.count(LOGIN)) == (77, 0)
    one.age_record(LOCKOUT_SECONDS)
    assert one.run(command="cleanup").code == 0
    assert one.record() == {}, "uninstall deletes the record that counts no more"


def test_a_disabled_account_costs_no_login_while_a_key_is_there(site: Site, release: Callable[[], Release]) -> None:
    """The stored key answers that the account is disabled, and a login could not say more."""
    one = release()
    site.consumers(one.namespace, CONSUMER)
    assert one.run().code == 0
    site.enable(one.account, enabled=False)
    for command, code in (("ensure", 77), ("keep", 75)):
        refused = one.run(command=command)
        assert (refused.code, refused.traffic.seen.count(LOGIN)) == (code, 0)
        assert "is disabled" in refused.said
    site.enable(one.account, enabled=True)
    assert one.run().traffic.seen.count(LOGIN) == 0
    assert one.holds_a_good_key()


def test_answers_that_all_come_late_send_a_password_twice_at_most(site: Site, release: Callable[[], Release]) -> None:
    """Times prove nothing there, so the hook sends it once more, a good while later; the keeper does not."""
    one = release()
    one.timeout = 60
    one.mount_credential(WRONG)

    def late() -> Traffic:
        return Traffic(others_late=iter((0.4, 0.0) * 1000), late=repeat(0.2))

    traffic = one.between.begin(traffic=late())
    process = one.start()
    process.communicate(timeout=120)
    assert process.returncode == 77
    sent = [login.at for login in traffic.logins]
    assert len(sent) in SENDS
    assert all(later - earlier > 15 for earlier, later in pairwise(sent))
    assert not site.locked_out(one.account, one.password)


@pytest.mark.alone
def test_on_a_quiet_machine_a_wrong_password_is_sent_once(release: Callable[[], Release]) -> None:
    one = release()
    one.mount_credential(WRONG)
    assert len(one.run().traffic.logins) == 1


@pytest.mark.alone
def test_what_is_refused_faster_than_the_limit_was_never_looked_at(site: Site) -> None:
    """More right passwords at once than Argo CD takes: every refusal is a fast one and none counts as a failure."""
    accounts = [site.new_account(), site.new_account()]  # two, because the logins of one are taken in turn

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
    each = [sum(not accepted for accepted, _ in ended[half::2]) for half in (0, 1)]
    assert max(each) >= 5, "as many as lock an account, if they were looked at"
    assert max(refused) < FASTEST_VERDICT, f"{len(refused)} refused, the slowest after {max(refused):.2f} s"
    assert not any(site.locked_out(*account) for account in accounts)
