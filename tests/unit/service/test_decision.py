"""``decide``: what follows from what the keeper sees and remembers, case by case."""

from dataclasses import replace

import pytest

from gitops_runtime_auth.argocd.client import Account, Key
from gitops_runtime_auth.errors import Refusal
from gitops_runtime_auth.kube.secret import StoredKey, StoredKeys
from gitops_runtime_auth.service.decision import Memory, Seen, Step, decide
from gitops_runtime_auth.timing import Timing

NOW = 1_800_000_000.0
TIMING = Timing()


def key(name: str = "k1", *, account: str = "runtime", url: str = "https://one", expires_at: int = 0) -> StoredKey:
    return StoredKey(token=f"token-{name}", account=account, url=url, key_id=name, expires_at=expires_at)


def works(age: float, current: StoredKey | None = None, *previous: StoredKey) -> Seen:
    current = current or key()
    account = Account("runtime", True, frozenset({"apiKey"}), (Key(current.key_id, int(NOW - age), 0),))
    return Seen(NOW, StoredKeys(current, previous, since=NOW - age), True, account)


def refused(refusal: Refusal, name: str = "k1", now: float = NOW) -> Seen:
    return Seen(now, StoredKeys(key(name), since=now - 100), True, None, refusal)


def test_a_key_that_works_is_kept() -> None:
    assert decide(Memory(), works(10), 0.0, TIMING)[0] is Step.KEEP


def test_without_a_key_one_is_issued() -> None:
    assert decide(Memory(), Seen(NOW), 0.0, TIMING)[0] is Step.ISSUE


@pytest.mark.parametrize(("age", "step"), [(100, Step.KEEP), (101, Step.ROTATE)])
def test_a_key_older_than_max_age_is_rotated(age: float, step: Step) -> None:
    assert decide(Memory(), works(age), 100.0, TIMING)[0] is step


def test_a_key_of_unknown_age_is_not_rotated() -> None:
    seen = works(1000)
    assert seen.account is not None
    unknown = replace(seen, account=replace(seen.account, keys=()))
    assert unknown.issued_at == NOW
    assert decide(Memory(), unknown, 1.0, TIMING)[0] is Step.KEEP


def test_no_key_is_rotated_while_pods_have_yet_to_leave_the_one_before_it() -> None:
    assert decide(Memory(), works(1000, key(), key("k0")), 1.0, TIMING)[0] is Step.KEEP
    moved = key("k0", url="https://two")
    assert decide(Memory(), works(1000, key(), moved), 1.0, TIMING)[0] is Step.ROTATE
    other = key("k0", account="other")
    assert decide(Memory(), works(1000, key(), other), 1.0, TIMING)[0] is Step.ROTATE


@pytest.mark.parametrize(("age", "step"), [(799, Step.KEEP), (800, Step.ROTATE), (1300, Step.ROTATE)])
def test_a_key_with_an_end_is_rotated_at_two_thirds_of_its_life(age: int, step: Step) -> None:
    current = key(expires_at=int(NOW) - age + 1200)
    assert decide(Memory(), works(age, current), 0.0, TIMING)[0] is step


def test_the_first_check_is_remembered_as_the_start() -> None:
    _, memory = decide(Memory(), works(10), 0.0, TIMING)
    assert memory.started == NOW
    assert decide(memory, replace(works(10), now=NOW + 60), 0.0, TIMING)[1].started == NOW


def away(since: float, now: float = NOW) -> Seen:
    return Seen(now, StoredKeys(key(url="https://two"), since=since), False)


def test_a_keeper_stands_by_while_an_upgrade_moves_on() -> None:
    assert decide(Memory(started=NOW - 50), away(NOW - 50), 0.0, TIMING)[0] is Step.STAND_BY


def test_a_keeper_that_started_after_the_move_has_the_newer_settings() -> None:
    assert decide(Memory(started=NOW - 49), away(NOW - 50), 0.0, TIMING)[0] is Step.ISSUE


def test_standing_by_ends() -> None:
    memory = Memory(started=NOW - 5000)
    assert decide(memory, away(NOW - TIMING.stand_by + 1), 0.0, TIMING)[0] is Step.STAND_BY
    assert decide(memory, away(NOW - TIMING.stand_by), 0.0, TIMING)[0] is Step.ISSUE


def test_a_lost_key_counts_once() -> None:
    _, memory = decide(Memory(), refused(Refusal.KEY_REVOKED), 0.0, TIMING)
    _, memory = decide(memory, refused(Refusal.KEY_REVOKED, now=NOW + 1), 0.0, TIMING)
    assert memory.lost == (NOW,)
    assert not memory.storm


@pytest.mark.parametrize("refusal", [r for r in Refusal if r is not Refusal.KEY_REVOKED])
def test_other_refusals_are_no_loss(refusal: Refusal) -> None:
    step, memory = decide(Memory(), refused(refusal), 0.0, TIMING)
    assert (step, memory.lost) == (Step.ISSUE, ())


def lose(times: int, every: float = 10.0) -> tuple[list[Step], Memory]:
    memory, steps = Memory(), []
    for n in range(times):
        step, memory = decide(memory, refused(Refusal.KEY_REVOKED, f"k{n}", NOW + n * every), 0.0, TIMING)
        steps.append(step)
    return steps, memory


def test_the_third_loss_within_the_window_is_a_storm() -> None:
    steps, memory = lose(3)
    assert steps == [Step.ISSUE, Step.ISSUE, Step.WAIT]
    assert memory.storm
    assert memory.issue_not_before == NOW + 20 + TIMING.storm_first_pause


def test_losses_further_apart_are_no_storm() -> None:
    steps, memory = lose(3, every=TIMING.storm_window / 2)
    assert steps == [Step.ISSUE] * 3
    assert len(memory.lost) == 2


@pytest.mark.parametrize(("losses", "pause"), [(3, 30.0), (4, 60.0), (5, 120.0), (7, 480.0), (8, 600.0), (20, 600.0)])
def test_each_further_loss_doubles_the_pause_up_to_ten_minutes(losses: int, pause: float) -> None:
    _, memory = lose(losses)
    assert memory.issue_not_before - memory.lost[-1] == pause


def test_the_next_key_is_issued_when_the_pause_is_over() -> None:
    _, memory = lose(3)
    due = memory.issue_not_before
    assert decide(memory, refused(Refusal.KEY_REVOKED, "k2", due - 0.001), 0.0, TIMING)[0] is Step.WAIT
    assert decide(memory, refused(Refusal.KEY_REVOKED, "k2", due), 0.0, TIMING)[0] is Step.ISSUE


def test_a_storm_is_over_when_a_window_has_passed_without_a_loss_since_the_pause() -> None:
    _, memory = lose(3)
    over = memory.issue_not_before + TIMING.storm_window
    assert decide(memory, replace(works(10), now=over - 0.001), 0.0, TIMING)[1].storm
    assert not decide(memory, replace(works(10), now=over), 0.0, TIMING)[1].storm


def test_losses_at_the_pace_of_the_pauses_come_to_the_longest_one() -> None:
    _, memory = lose(3)
    for n in range(3, 12):
        seen = refused(Refusal.KEY_REVOKED, f"k{n}", memory.issue_not_before + 5)
        _, memory = decide(memory, seen, 0.0, TIMING)
    assert memory.issue_not_before - memory.lost[-1] == TIMING.storm_longest_pause
