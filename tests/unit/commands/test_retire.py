"""``retire``, the hook after an upgrade: what was replaced is revoked once nothing uses it, and nothing ever fails."""

import json

import pytest

from gitops_runtime_auth.keys.revoke import BY_HAND
from tests.fakes import SOON, installed
from tests.fakes.web import as_json
from tests.fakes.world import ACCOUNT, NO_RIGHT, ONCE, World

SECOND = "second"
CONSUMER = "deployment/runtime-sources-server"


def with_two_accounts(world: World) -> None:
    """Create a second account, and one workload of each kind that ``retire`` waits for."""
    world.argocd.account(SECOND)
    world.consumers = [CONSUMER]
    world.wait_for = ["deployment/runtime-app-proxy"]
    for name in (*world.consumers, *world.wait_for):
        world.workload(name)


def move(world: World) -> None:
    """Install with the first account, then upgrade to the second one."""
    with_two_accounts(world)
    installed.install(world)
    world.use(SECOND)
    assert world.upgrade().code == 0
    world.roll_out()


@pytest.fixture
def moved(world: World) -> World:
    """A release that was upgraded from the first account to the second one."""
    with_two_accounts(world)
    world.use(SECOND)
    installed.bring_into(world, move)
    assert (len(world.argocd.live_keys(ACCOUNT)), len(world.argocd.live_keys(SECOND))) == (1, 1)
    return world


def test_the_replaced_key_is_revoked_once_the_rollout_is_done(moved: World) -> None:
    done = moved.retire()
    assert done.code == 0, done.said
    assert done.log.endswith("\nThe replaced API keys are revoked.\n")
    assert moved.argocd.live_keys() == [moved.key]
    assert len(moved.argocd.logins.seen) == 2, "the two of the hook"


@pytest.mark.parametrize("workload", [CONSUMER, "deployment/runtime-app-proxy"])
@pytest.mark.parametrize(
    "status",
    [
        {"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2},
        {"replicas": 1, "updatedReplicas": 0, "availableReplicas": 1},
        {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 0},
        {"observedGeneration": 0},
    ],
    ids=["an old pod is left", "none is new", "none is available", "nobody has begun"],
)
def test_an_unfinished_rollout_leaves_it_alive_and_names_it(
    moved: World, workload: str, status: dict[str, int]
) -> None:
    [old] = moved.argocd.live_keys(ACCOUNT)
    moved.status_of(workload, **status)
    moved.set("hook.timeout", 10)
    done = moved.retire()
    assert done.code == 0
    assert old in moved.argocd.live_keys()
    assert done.warnings == [
        f"Deployment {workload.partition('/')[2]} did not finish the rollout in time, so the"
        f" replaced API keys stay valid: {old}. The keeper or the next helm upgrade revokes them."
    ]
    assert done.log.endswith("\nThe rollout has not finished; nothing was revoked.\n")


def test_a_workload_that_does_not_exist_is_no_reason_to_wait(moved: World) -> None:
    moved.consumers.append("statefulset/not-there")
    moved.retire()
    assert moved.argocd.live_keys() == [moved.key]


def test_a_statefulset_is_waited_for_alike(moved: World) -> None:
    [old] = moved.argocd.live_keys(ACCOUNT)
    moved.hold_rollouts()
    moved.consumers.append("statefulset/cap-app-proxy")
    moved.workload("statefulset/cap-app-proxy")
    moved.status_of("statefulset/cap-app-proxy", updatedReplicas=0, currentRevision="1", updateRevision="2")
    moved.set("hook.timeout", 10)
    moved.retire()
    assert old in moved.argocd.live_keys()


def test_the_grace_period_is_kept_by_argocds_clock(world: World) -> None:
    move(world)
    [old] = world.argocd.live_keys(ACCOUNT)
    world.set("keeper.gracePeriod", 180)
    [told] = [line for line in world.retire().log.splitlines() if line.startswith("The keeper")]
    assert told in {f"The keeper revokes the replaced API keys in {s} s (keeper.gracePeriod)." for s in range(170, 181)}
    assert old in world.argocd.live_keys(), "mounted files follow within two minutes"
    world.argocd.ahead = 200
    world.retire()
    assert world.argocd.live_keys() == [world.key]


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("the key", "The replaced API keys are revoked."),
        ("the Secret", "This upgrade replaced no API key that is still valid."),
    ],
)
def test_a_consumer_that_the_upgrade_left_alone_is_restarted_for_a_new_key(world: World, lost: str, says: str) -> None:
    world.consumers = [CONSUMER]
    world.workload(CONSUMER)
    world.install()
    if lost == "the key":
        world.argocd.revoke(ACCOUNT)
    else:
        world.remove(world.path())
    world.upgrade()
    world.argocd.ahead = 2  # it tells whole seconds, and there is no grace period
    assert world.retire().log.endswith(f"\n{says}\n")
    assert world.restarted(CONSUMER) == world.key


@pytest.mark.parametrize(("age", "restarted"), [(3500, True), (3700, False)])
def test_of_an_older_key_consumers_are_left_to_the_keeper(world: World, age: int, restarted: bool) -> None:
    """The hook of this upgrade did not make it."""
    world.consumers = [CONSUMER]
    world.workload(CONSUMER)
    world.argocd.ahead = -age
    world.install()
    world.roll_out(later=-7200)
    world.retire()
    assert bool(world.restarted(CONSUMER)) is restarted


def test_a_consumer_that_the_upgrade_rolled_out_is_not_restarted(world: World) -> None:
    world.consumers = [CONSUMER]
    world.workload(CONSUMER)
    world.install()
    world.roll_out(later=5)
    world.retire()
    assert world.restarted(CONSUMER) == ""


def test_without_restarts_nothing_is_restarted(world: World) -> None:
    world.set("keeper.restartConsumers", False)
    world.consumers = [CONSUMER]
    world.workload(CONSUMER)
    world.install()
    world.argocd.revoke(ACCOUNT)
    world.upgrade()
    world.retire()
    assert world.restarted(CONSUMER) == ""
    assert world.kubernetes.server.asked("PATCH ") == []


def test_an_upgrade_that_replaced_nothing_waits_for_nobody(world: World) -> None:
    world.consumers = [CONSUMER]
    world.workload(CONSUMER)
    world.install()
    world.roll_out(later=5)
    world.status_of(CONSUMER, availableReplicas=0)
    world.set("hook.timeout", 60)
    done = world.retire()
    assert done.seconds < SOON
    assert done.log.endswith("\nThis upgrade replaced no API key.\n")
    assert world.live() == [world.key]


def test_a_disabled_accounts_key_is_named_and_remembered_because_it_would_come_back(moved: World) -> None:
    [old] = moved.argocd.live_keys(ACCOUNT)
    moved.argocd.accounts.enable(ACCOUNT, False)
    before = moved.writes()
    done = moved.retire()
    assert moved.writes() == before
    [told] = done.warnings
    assert told.startswith(
        f"The API key {old} of account {ACCOUNT} is still valid: Argo CD account {ACCOUNT} is disabled."
    )
    assert told.endswith(f" Revoke it with: argocd account delete-token --account {ACCOUNT} {old}")
    assert done.log.endswith("\nSome replaced API keys are left (see above).\n")
    moved.argocd.accounts.enable(ACCOUNT)
    moved.retire()
    assert moved.argocd.live_keys() == [moved.key]


def test_the_same_of_an_account_that_vanished(moved: World) -> None:
    [old] = moved.argocd.live_keys(ACCOUNT)
    moved.argocd.accounts.vanish(ACCOUNT)
    assert old in moved.retire().said
    moved.argocd.account(ACCOUNT)
    moved.retire()
    assert moved.argocd.live_keys() == [moved.key]


def test_a_gateways_401_does_not_count_as_revoked(moved: World) -> None:
    [old] = moved.argocd.live_keys(ACCOUNT)
    moved.argocd.server.fault(f"/account/{ACCOUNT}", answer=as_json(401, {"message": "please sign in"}))
    assert old in moved.retire().said
    moved.argocd.server.heal()
    moved.retire()
    assert moved.argocd.live_keys() == [moved.key]


def test_a_key_that_somebody_revoked_already_is_forgotten(moved: World) -> None:
    moved.argocd.revoke(ACCOUNT)
    assert moved.retire().warnings == []
    before = len(moved.argocd.server.log)
    moved.retire()
    assert len(moved.argocd.server.log) - before <= 1, "nothing is left to be asked about"


def test_a_conflict_on_forgetting_fails_nothing(moved: World) -> None:
    def another_write() -> None:
        moved.edit(moved.path(), **{"annotations": {"touched": "by somebody"}})

    moved.kubernetes.fault("PUT .*/secrets/argocd-token$", times=1, does=another_write)
    done = moved.retire()
    assert (done.code, done.warnings) == (0, [])
    assert moved.argocd.live_keys() == [moved.key]


def test_a_secret_that_does_not_say_since_when_its_key_is_in_use_says_so_from_now_on(moved: World) -> None:
    """Somebody edited ``state``: the grace period of the replaced key is taken for over."""
    state = {**json.loads(moved.secret()["state"]), "since": None}
    moved.edit_secret({**moved.secret(), "state": json.dumps(state)})
    assert moved.retire().code == 0
    assert moved.argocd.live_keys() == [moved.key]
    assert json.loads(moved.secret()["state"])["since"] == pytest.approx(moved.argocd.now(), abs=10)


def test_two_names_of_one_argocd_keep_the_present_key(world: World) -> None:
    """The key of the first name is revoked, the one in use is not, although both are of one account."""
    world.begin_installed()
    first = world.key
    world.host = "localhost"
    world.upgrade()
    assert sorted(world.live()) == sorted([first, world.key])
    world.roll_out()
    world.retire()
    assert world.live() == [world.key]


def test_what_is_younger_than_the_replaced_key_stays(moved: World) -> None:
    """Another run may be storing it: this one's view of the Secret may be old."""
    young, old, same = (moved.own_key(f"20260101t000000z-{12 * letter}") for letter in "abc")
    keys = moved.argocd.accounts.secret[ACCOUNT].keys
    moved.argocd.make_key(ACCOUNT, same, age=100)
    keys[0].issued_at = keys[-1].issued_at
    moved.argocd.make_key(ACCOUNT, young, age=50)
    moved.argocd.make_key(ACCOUNT, old, age=150)
    moved.retire()
    assert sorted(moved.argocd.live_keys(ACCOUNT)) == [young, same], "Argo CD tells whole seconds"


def test_while_the_secret_holds_no_key_another_run_may_be_about_to_store_one(moved: World) -> None:
    """Somebody emptied it, and the keeper makes another one."""
    [old], young = moved.argocd.live_keys(ACCOUNT), moved.own_key()
    moved.argocd.accounts.secret[ACCOUNT].keys[0].issued_at -= 100
    moved.argocd.make_key(ACCOUNT, young)
    moved.edit_secret({**moved.secret(), "token": ""})
    moved.retire()
    assert moved.argocd.live_keys(ACCOUNT) == [young] != [old]


def test_what_others_wrote_into_the_secret_is_not_revoked(moved: World) -> None:
    """Keys that the Secret names but that are not of this installation."""
    users = moved.argocd.make_key(ACCOUNT, "users-own")
    state = moved.secret()["state"].replace(moved.argocd.made[0], users)
    moved.edit_secret({**moved.secret(), "state": state})
    moved.retire()
    assert "users-own" in moved.argocd.live_keys()


# A change to ``type: token``


@pytest.fixture
def to_token(world: World) -> World:
    """An upgrade went from a password to the user's own token."""
    world.consumers = [CONSUMER]
    world.workload(CONSUMER)
    world.install()
    world.use_token(world.argocd.make_key(ACCOUNT, "users-own"))
    assert world.upgrade().code == 0
    world.roll_out()
    return world


def test_nothing_of_the_password_stays(to_token: World) -> None:
    assert to_token.retire().code == 0
    assert to_token.argocd.live_keys() == ["users-own"]
    assert to_token.secret() == {}


def test_a_secret_is_not_deleted_while_its_key_lives(to_token: World) -> None:
    """It is the only way left to revoke the key."""
    to_token.argocd.server.go_down()
    done = to_token.retire(ONCE)
    assert done.code == 0
    assert to_token.secret() != {}
    to_token.argocd.server.open_again()
    to_token.retire()
    assert to_token.argocd.live_keys() == ["users-own"]
    assert to_token.secret() == {}


@pytest.mark.parametrize("command", ["retire", "cleanup"])
def test_a_key_that_the_settings_hold_is_never_revoked(world: World, command: str) -> None:
    """A second net behind ``ensure``, which refuses such settings."""
    world.begin_installed()
    key, token = world.key, world.token
    world.use_token(token)
    world.remount()
    assert world.run(command).code == 0
    assert world.argocd.live_keys() == [key]


@pytest.mark.parametrize("command", ["retire", "cleanup"])
def test_a_secret_that_the_settings_name_is_never_deleted(world: World, command: str) -> None:
    world.begin_installed()
    world.use_token(world.token, "argocd-token")
    world.remount()
    assert world.run(command).code == 0
    assert world.token
    assert world.argocd.accepts(world.token)


@pytest.mark.parametrize("command", ["retire", "cleanup"])
def test_a_secret_of_a_former_name_that_the_settings_name_is_never_deleted(world: World, command: str) -> None:
    """The key moved to another Secret, and the user has put a token of their own into the former one."""
    world.begin_installed()
    world.set("keySecret.name", "another")
    world.set("keySecret.formerNames", ["argocd-token"])
    world.upgrade()
    users = world.argocd.make_key(ACCOUNT, "users-own")
    world.edit_secret({"token": users}, "argocd-token")
    world.use_token(users, "argocd-token")
    world.remount()
    assert world.run(command).code == 0
    assert world.secret("argocd-token") == {"token": users}


def test_pods_that_still_use_the_former_key_hold_the_secret(to_token: World) -> None:
    to_token.status_of(CONSUMER, updatedReplicas=0)
    to_token.set("hook.timeout", 10)
    done = to_token.retire()
    assert done.code == 0
    assert "Deployment runtime-sources-server did not finish the rollout in time" in done.warnings[0]
    assert "stay valid: the one of the former type. The keeper" in done.warnings[0]
    assert done.seconds < SOON, "the last 25 s of hook.timeout are for revoking"
    assert to_token.secret() != {}
    assert len(to_token.argocd.live_keys()) == 2


def test_a_release_that_always_had_a_token_asks_argocd_nothing(world: World) -> None:
    world.use_token(world.argocd.make_key(ACCOUNT, "users-own"))
    world.install()
    before = len(world.argocd.server.log)
    assert world.retire().log.endswith("\nThis upgrade replaced no API key.\n")
    assert len(world.argocd.server.log) == before


def test_a_rollout_that_finishes_meanwhile_is_waited_for(moved: World) -> None:
    moved.status_of(CONSUMER, availableReplicas=0)
    moved.set("hook.timeout", 60)
    moved.later(0.1, lambda: moved.kubernetes.rollouts.finish(moved.path_of(CONSUMER)))
    moved.retire()
    assert moved.argocd.live_keys() == [moved.key]


def test_a_secret_of_a_former_name_goes_once_nobody_uses_it(world: World) -> None:
    world.consumers = [CONSUMER]
    world.workload(CONSUMER)
    world.install()
    world.set("keySecret.name", "another")
    world.set("keySecret.formerNames", ["argocd-token"])
    world.upgrade()
    world.hold_rollouts()
    world.status_of(CONSUMER, availableReplicas=0)
    world.set("hook.timeout", 10)
    world.retire()
    assert world.secret("argocd-token") != {}, "pods still use it"
    world.roll_out()
    world.retire()
    assert world.secret("argocd-token") == {}
    assert world.argocd.accepts(world.secret("another")["token"])


# It serves an upgrade that is done


def test_somebody_elses_secret_is_left_alone(moved: World) -> None:
    moved.edit(moved.path(), **{"labels": {"app.kubernetes.io/managed-by": "Helm"}})
    keys = moved.argocd.live_keys()
    done = moved.retire()
    assert done.code == 0
    assert done.log.endswith('\nSecret "argocd-token" is not this release\'s; nothing was changed.\n')
    assert moved.argocd.live_keys() == keys


@pytest.mark.parametrize("down", ["argocd", "kubernetes", "rights"])
def test_an_upgrade_that_is_done_is_not_failed(moved: World, down: str) -> None:
    if down == "argocd":
        moved.argocd.server.go_down()
    elif down == "kubernetes":
        moved.kubernetes.fault(".*", cut="before")
    else:
        moved.kubernetes.fault(".*", answer=NO_RIGHT)
    done = moved.retire(ONCE)
    assert done.code == 0
    assert " The replaced API keys stay valid. " in done.warnings[0]
    assert done.log.splitlines()[-1] == "Nothing was revoked; the next upgrade tries again."


def test_an_upgrade_that_is_done_is_not_failed_by_settings_that_it_can_not_use(moved: World) -> None:
    keys = moved.argocd.live_keys()
    done = moved.run("retire", SETTINGS_SHA256="of others")
    assert done.code == 0
    assert done.warnings == [f"The clean-up after the upgrade ended early (ConfigurationError). {BY_HAND}"]
    assert moved.argocd.live_keys() == keys
