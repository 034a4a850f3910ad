"""The key Secret as ``ensure`` writes it: of the user's own shape, never over somebody else's, moved without a gap."""

from dataclasses import replace

import pytest

from gitops_runtime_auth.timing import Timing
from tests.fakes.kubestatus import (
    RefusedError,
    already_exists,
    denied_by_policy,
    denied_by_webhook,
    no_right,
    quota_exceeded,
    terminating,
)
from tests.fakes.web import as_text
from tests.fakes.world import ACCOUNT, FAST, ONCE, World, ids_in

PUT, POST, GET = "PUT .*/secrets/argocd-token$", "POST .*/secrets$", "GET .*/secrets/argocd-token$"


def test_it_holds_what_the_user_asks_for_under_his_names(world: World) -> None:
    world.set("keySecret.name", "image-updater")
    world.set("keySecret.data", {"argocd.token": "token", "URL": "url", "SERVER": "server", "who": "account"})
    world.set("keySecret.labels", {"team": "a"})
    world.set("keySecret.annotations", {"reloader": "yes"})
    assert world.install().code == 0
    data = world.secret("image-updater")
    assert world.argocd.accepts(data["argocd.token"])
    assert data["URL"] == world.url
    assert data["SERVER"] == world.url.removeprefix("https://")
    assert data["who"] == ACCOUNT
    metadata = world.get(world.path("image-updater"))["metadata"]
    assert metadata["labels"]["team"] == "a"
    assert metadata["annotations"]["reloader"] == "yes"


def test_a_change_of_its_shape_is_followed_without_a_new_key(world: World) -> None:
    world.begin_installed()
    key = world.key
    world.set("keySecret.data", {"token": "token", "url": "url"})
    world.set("keySecret.labels", {"team": "a"})
    assert world.upgrade().code == 0
    assert world.key == key
    assert world.secret()["url"] == world.url
    assert world.get(world.path())["metadata"]["labels"]["team"] == "a"
    assert len(world.argocd.logins.seen) == 1


def test_a_mount_that_is_behind_the_secret_is_no_reason_to_write_it_again(world: World) -> None:
    world.begin_installed()
    world.remount()
    world.set("keySecret.data", {"token": "token", "url": "url"})
    assert world.run("ensure").code == 0
    before = world.writes()
    assert world.run("ensure").code == 0
    assert world.writes() == before


def test_a_new_name_moves_the_key_without_a_login(world: World) -> None:
    world.begin_installed()
    token = world.token
    world.set("keySecret.name", "another")
    world.set("keySecret.formerNames", ["argocd-token"])
    done = world.upgrade()
    assert done.code == 0, done.said
    assert world.secret("another")["token"] == token, done.said
    assert world.secret("argocd-token")["token"] == token, "pods use it until they are rolled out"
    assert len(world.argocd.logins.seen) == 1
    assert len(world.argocd.made) == 1


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
        {"labels": {"app.kubernetes.io/managed-by": "gitops-runtime-auth", "app.kubernetes.io/instance": "another"}},
        {},
    ],
    ids=["of a chart", "of another release", "of nobody"],
)
def test_somebody_elses_secret_stays_as_it_is_and_no_key_is_left(world: World, metadata: dict[str, object]) -> None:
    world.put(world.path(), {"metadata": {"name": "argocd-token", **metadata}, "data": {"a": "YQ=="}})
    before = world.find(world.path())
    done = world.install()
    assert done.code == 78
    assert '"argocd-token"' in done.problem
    assert world.find(world.path()) == before
    assert world.live() == []
    assert world.argocd.live_sessions() == []
    assert world.record() == "", "the password was right"


def adoptable(world: World, key_id: str) -> str:
    """Put a key of that id into a Secret that nobody owns, and let the release take it over; return the key."""
    token = world.argocd.make_key(ACCOUNT, key_id)
    world.put(world.path(), {"metadata": {"name": "argocd-token"}})
    world.edit_secret({"token": token})
    world.set("keySecret.adopt", True)
    return token


def test_adoption_takes_a_secret_that_nobody_owns_and_names_the_key_in_it(world: World) -> None:
    """The vendor's app-proxy made it: that key may be in use elsewhere, so it is named and not revoked."""
    token = adoptable(world, "vendors-own")
    done = world.install()
    assert done.code == 0, done.said
    assert world.live() == [world.key]
    assert "vendors-own" in world.argocd.live_keys(ACCOUNT)
    assert "vendors-own" in done.log
    assert token not in done.said
    [told] = [message for kind, reason, message in world.events() if (kind, reason) == ("Warning", "SecretTakenOver")]
    assert told == (
        'Secret "argocd-token" was taken over. The API key that was in it is still valid; when nothing uses it any'
        " more, revoke it: argocd account delete-token --account NAME vendors-own"
    ), "Helm deletes the Job with its log"


def test_what_is_printed_of_a_secret_that_is_taken_over_does_no_harm_when_pasted(world: World) -> None:
    adoptable(world, "x; rm -rf /")
    done = world.install()
    assert done.code == 0, done.said
    assert "--account NAME 'x; rm -rf /'" in done.log


def test_adoption_leaves_a_secret_that_somebody_owns(world: World) -> None:
    labels = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "another"}
    world.put(world.path(), {"metadata": {"name": "argocd-token", "labels": labels}, "data": {}})
    world.set("keySecret.adopt", True)
    assert world.install().code == 78


@pytest.mark.parametrize("damage", [{}, {"token": ""}, {"token": "\xff junk"}, {"token": "a.b.c"}])
def test_a_damaged_secret_is_made_anew(world: World, damage: dict[str, str]) -> None:
    world.begin_installed()
    world.edit_secret(damage)
    assert world.upgrade().code == 0
    assert world.live() == [world.key]


@pytest.mark.parametrize("state", ["", "{", "[]", '{"previous": "x"}', '{"previous": [7, {"token": 1}]}', "null"])
def test_a_damaged_state_is_no_reason_to_fail(world: World, state: str) -> None:
    world.begin_installed()
    world.edit_secret({**world.secret(), "state": state})
    assert world.upgrade().code == 0
    assert world.argocd.accepts(world.token)
    assert world.live() == [world.key]


def test_replaced_keys_that_still_live_are_remembered(world: World) -> None:
    """Three accounts in three upgrades without a rollout in between: the last clean-up finds all of them."""
    names = [ACCOUNT, "second", "third"]
    for name in names:
        world.argocd.account(name)
        world.use(name)
        world.upgrade()
    assert [len(world.argocd.live_keys(name)) for name in names] == [1, 1, 1]
    world.uninstall()
    assert world.argocd.live_keys() == []


def test_what_somebody_wrote_into_the_memory_is_bounded_and_sent_nowhere(world: World) -> None:
    """``state.previous`` can be edited by whoever may edit the Secret."""
    import json

    world.begin_installed()
    state = json.loads(world.secret()["state"])
    entry = {"token": "a.b.c", "account": "x", "url": world.other.url, "ca": "", "insecure": True}
    state["previous"] = [entry] * 5000
    world.edit_secret({**world.secret(), "state": json.dumps(state)})
    world.argocd.revoke(ACCOUNT)
    assert world.upgrade().code == 0
    assert len(world.secret()["state"]) < 100_000
    assert world.uninstall().code == 0
    assert world.other.server.log == []


# Others write it too


def stored_by_another_run(world: World) -> str:
    """Have another run's good key ready, and no Secret; return the other run's token."""
    world.begin_installed()
    return world.token


def test_two_installs_at_once_end_with_one_key(world: World) -> None:
    """The other run stores its key between this one's look and write: this one revokes its own."""
    world.begin_installed()
    other = world.get(world.path())
    world.remove(world.path())
    world.kubernetes.fault(POST, times=1, does=lambda: world.put(world.path(), other))
    done = world.install()
    assert done.code == 0, done.said
    assert world.live() == [world.key]
    assert world.token == world.argocd.made[0]
    assert len(world.argocd.made) == 2
    assert world.kubernetes.server.asked(PUT) == [], "the Secret stays as the other run wrote it"


def test_two_upgrades_at_once_end_with_one_key(world: World) -> None:
    """A Secret is replaced only in the version that was read: the slower run takes the faster one's key."""
    world.begin_installed()
    old = world.get(world.path())
    world.argocd.revoke(ACCOUNT)
    world.upgrade()
    faster = world.get(world.path())
    world.put(world.path(), old)
    fault = world.kubernetes.fault(PUT, times=1, does=lambda: world.put(world.path(), faster))
    done = world.upgrade()
    assert done.code == 0, done.said
    assert fault.met
    assert world.live() == [world.key]
    assert world.token == world.argocd.made[1]


@pytest.mark.parametrize("timing", [FAST, ONCE], ids=["sent again", "not sent again"])
def test_a_write_whose_answer_was_lost_is_looked_for(world: World, timing: Timing) -> None:
    world.kubernetes.fault(POST, times=1, cut="after")
    assert world.install(timing).code == 0
    assert world.live() == [world.key]
    assert len(world.argocd.made) == 1


def test_after_a_write_and_a_look_that_fail_the_key_stays_for_the_next_run(world: World) -> None:
    """It may stand in the Secret, and it does: revoking it would cut the Runtime off."""
    world.kubernetes.fault(POST, cut="after")
    world.kubernetes.fault(GET, skip=1, cut="before")
    done = world.install(ONCE)
    assert done.code != 0
    world.kubernetes.server.heal()
    assert world.live() == [world.key]
    assert world.upgrade().code == 0
    assert len(world.argocd.logins.seen) == 1


@pytest.mark.parametrize("may_look", [True, False], ids=["", "nor looked for"])
@pytest.mark.parametrize(("status", "code"), [(403, 77), (400, 75), (422, 78)])
def test_a_key_that_may_not_be_stored_is_revoked(world: World, status: int, code: int, may_look: bool) -> None:
    refusal = RefusedError(status, "BadRequest", "no").answer
    world.kubernetes.fault(POST, answer=refusal)
    if not may_look:
        world.kubernetes.fault(GET, skip=1, answer=refusal)
    done = world.install()
    assert done.code == code, done.said
    assert world.live() == []


def test_a_lost_key_is_revoked_before_the_next_is_made(world: World) -> None:
    world.argocd.server.fault("POST .*/token$", times=1, cut="after")
    done = world.install()
    assert done.code == 0
    assert "\nCreating the API key: " in done.log
    assert world.live() == [world.key]
    assert len(world.argocd.made) == 2


def test_a_key_whose_answer_nobody_can_read_is_revoked(world: World) -> None:
    world.argocd.server.fault("POST .*/token$", hide=as_text(200, "<html>"))
    assert world.install().code != 0
    assert len(world.argocd.made) == 1
    assert world.live() == []


def test_an_id_is_never_used_twice(world: World) -> None:
    """Argo CD accepts a revoked key again if its id is used again."""
    world.argocd.server.fault("POST .*/token$", times=2, cut="after")
    world.install()
    for _ in range(3):
        world.argocd.revoke(ACCOUNT)
        world.upgrade()
    ids = [i for r in world.argocd.server.asked("POST .*/token$") for i in ids_in(r.body.decode())]
    assert len(ids) == len(set(ids)) == 6


def test_a_key_that_another_run_revokes_before_it_stands_in_the_secret_is_made_anew(world: World) -> None:
    """That run listed the account before, and took this key for one that a crash had left."""
    world.kubernetes.fault(POST, times=1, does=lambda: world.argocd.revoke(ACCOUNT))
    done = world.install(replace(FAST, fresh_shows=0.1))
    assert done.code == 0, done.said
    assert world.live() == [world.key]
    assert world.argocd.accepts(world.token)
    assert len(world.argocd.made) == 2


def test_a_secret_that_others_write_again_and_again_ends_the_run_without_a_key(world: World) -> None:
    fault = world.kubernetes.refuse(POST, already_exists("secrets", "argocd-token"))
    done = world.install()
    assert done.code == 75
    assert fault.met == 4
    assert done.problem == 'Secret "argocd-token" was changed by others 4 times while this run wrote it.'
    assert done.remedy == "Make sure that no two upgrades of this release run at once, then run helm upgrade again."
    assert world.live() == []


def test_of_two_rollbacks_at_once_both_end_well(world: World) -> None:
    """Both take the key of then; the other one has written it first."""
    world.begin_installed()
    world.argocd.account("second")
    world.use("second")
    world.upgrade()
    world.use(ACCOUNT)
    world.write_before()
    done = world.rollback()
    assert done.code == 0, done.said
    assert world.key in world.argocd.live_keys(ACCOUNT)


def test_a_change_of_shape_that_somebody_is_faster_with_fails_nothing(world: World) -> None:
    world.begin_installed()
    world.set("keySecret.labels", {"team": "a"})
    world.write_before()
    done = world.upgrade()
    assert done.code == 0, done.said
    assert world.live() == [world.key]


def test_a_key_that_can_be_neither_stored_nor_revoked_is_named_and_goes_at_the_next_run(world: World) -> None:
    world.kubernetes.refuse(POST, quota_exceeded("secrets", "argocd-token", "team-quota"))
    world.argocd.server.fault("DELETE .*/token/", answer=as_text(403, "no"))
    done = world.install()
    assert done.code == 77
    [left] = world.live()
    [told] = [w for w in done.warnings if left in w]
    assert told.startswith(f"Key {left} could not be revoked (")
    assert told.endswith(" The next run revokes it.")
    world.kubernetes.server.heal()
    world.argocd.server.heal()
    assert world.install().code == 0
    assert world.live() == [world.key] != [left]


# What Kubernetes refuses


@pytest.mark.parametrize(
    ("refusal", "says", "never"),
    [
        (no_right("system:serviceaccount:x:y", "create", "secrets", "", "", "runtime-ns"), '"verbs"', "quota"),
        (quota_exceeded("secrets", "argocd-token", "team-quota"), "team-quota", '"verbs"'),
        (denied_by_policy("secrets", "argocd-token", "no-secrets", "no"), "no-secrets", '"verbs"'),
        (denied_by_webhook("policy.example", "no"), "policy.example", '"verbs"'),
        (terminating("secrets", "argocd-token", "runtime-ns"), "deleted", '"verbs"'),
    ],
    ids=["RBAC", "quota", "policy", "webhook", "namespace"],
)
def test_why_kubernetes_refuses_is_told_apart(world: World, refusal: RefusedError, says: str, never: str) -> None:
    world.kubernetes.refuse(POST, refusal)
    done = world.install()
    assert done.code == 77
    assert says in f"{done.problem} {done.remedy}"
    assert never not in f"{done.problem} {done.remedy}"
    assert world.live() == []


def test_a_gateway_before_kubernetes_is_told(world: World) -> None:
    world.kubernetes.fault(GET, answer=as_text(403, "<html>blocked</html>"))
    done = world.install()
    assert done.code in (75, 77, 78)
    assert world.live() == []
