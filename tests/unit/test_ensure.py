"""The hook's story against fakes: what it creates, reuses, refuses, and what a fault at any step leaves."""

import time
from dataclasses import replace

import pytest

from gitops_runtime_auth import log
from gitops_runtime_auth.argocd import login
from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.commands.ensure import ensure
from gitops_runtime_auth.config.settings import Server
from gitops_runtime_auth.errors import (
    AuthError,
    ConfigurationError,
    ForeignSecretError,
    KeyRefusedError,
    LoginRefusedError,
    MissingSecretError,
    PrivilegeError,
    WrongServerError,
)
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.release import Owner
from tests.unit.fakes.argocd import FakeAccount
from tests.unit.fakes.faults import REPLACED, Killed, Plan
from tests.unit.fakes.world import NAMESPACE, RELEASE, SECRET, World


def healthy(world: World) -> None:
    """The invariant: one live key for the release, it is the one in the Secret, and no session that we could end."""
    assert world.live() == [world.key()]


def test_fresh_install_makes_one_key_with_one_login_and_ends_the_session(world: World) -> None:
    assert "Created the API key" in world.run()
    healthy(world)
    assert world.argocd.logins == ["ok"]
    assert world.argocd.live_sessions() == []


def test_upgrade_with_a_good_key_logs_in_nobody_and_changes_nothing(world: World) -> None:
    world.run()
    before = world.cluster.get(SECRET)
    assert "nothing was changed" in world.run()
    assert world.cluster.get(SECRET) == before
    assert world.argocd.logins == ["ok"]


def test_revoked_key_is_replaced_by_exactly_one(world: World) -> None:
    world.run()
    old = world.key()
    world.argocd.accounts["admin"].keys.clear()
    world.run()
    assert world.key() != old
    healthy(world)


def test_other_releases_and_clusters_are_left_alone(world: World) -> None:
    others = [Owner("ffffffffffff", NAMESPACE, "runtime"), Owner(world.owner.cluster, "other", "runtime")]
    foreign = {owner.new_id(): 1 for owner in others} | {"mine": 1, "gra.x": 1}
    world.argocd.accounts["admin"].keys.update(foreign)
    world.run()
    world.argocd.accounts["admin"].keys.pop(world.key())
    world.run()
    assert foreign.keys() <= world.argocd.accounts["admin"].keys.keys()
    healthy(world)


def test_the_same_release_in_a_second_cluster_keeps_its_key(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    twin = World(tmp_path_factory.mktemp("twin"), world.argocd, owner=Owner("ffffffffffff", NAMESPACE, RELEASE))
    for one in (world, twin, world, twin):
        one.run()
    world.argocd.accounts["admin"].keys.pop(world.key())
    world.run()
    healthy(world)
    healthy(twin)


def test_a_question_that_only_warns_does_not_fail_the_install(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def web_page(*_: object) -> bool:
        raise WrongServerError("It answers with a web page.", "Look.")

    monkeypatch.setattr(ArgoCD, "may_see_applications", web_page)
    assert "Created the API key" in world.run()


def test_a_rollback_leaves_the_key_alive_that_pods_of_the_failed_upgrade_use(world: World) -> None:
    """The upgrade went to another address of the same Argo CD."""
    world.run()
    first, there = world.key(), world.context()
    there.settings = replace(there.settings, server=Server("https://argocd-server.argocd.svc"))
    world.mount()
    ensure(there)
    second = world.key()
    world.run()
    assert world.key() == first
    assert sorted(world.live()) == sorted([first, second])


def test_refused_password_is_sent_once(world: World) -> None:
    world.give("wrong")
    with pytest.raises(LoginRefusedError, match="locked for 5 minutes") as refused:
        world.run()
    assert refused.value.exit_code == 77
    assert world.argocd.logins == ["refused"]
    assert world.cluster.objects == {}


def test_newline_after_the_password_is_named(world: World) -> None:
    world.give("s3cret-canary-password\n")
    with pytest.raises(LoginRefusedError, match="ends with a newline"):
        world.run()


def test_too_many_logins_in_flight_is_tried_again(world: World) -> None:
    world.argocd.busy_logins = 3
    world.run()
    assert world.argocd.logins == ["busy"] * 3 + ["ok"]
    healthy(world)


class Slow(Plan):
    """A machine so busy that every answer takes longer than Argo CD's verdict on a password would."""

    def comes(self, step: str) -> str:
        time.sleep(0.08)
        return ""


def test_too_many_logins_in_flight_is_told_on_a_busy_machine_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "_JITTER", 0.1)
    world.argocd.busy_logins = 2
    world.run(Slow())
    assert world.argocd.logins == ["busy"] * 2 + ["ok"]
    healthy(world)


@pytest.mark.parametrize("times", [(0.0, 0.3, 0.0, 0.0, 0.15), (0.15, 0.3, 0.0, 0.0, 0.0)], ids=["after", "before"])
def test_times_that_mean_nothing_are_no_verdict(
    world: World, monkeypatch: pytest.MonkeyPatch, times: tuple[float, ...]
) -> None:
    """The server is overloaded as well: its refusal takes a second, and its version now this, now that."""
    monkeypatch.setattr(login, "_JITTER", 0.1)
    pending = iter([*times, *[0.0] * 99])

    class Jittery(Plan):
        def comes(self, step: str) -> str:
            time.sleep(next(pending))
            return ""

    world.argocd.busy_logins = 1
    world.run(Jittery())
    assert world.argocd.logins == ["busy", "ok"]


def test_a_refused_password_is_sent_once_on_a_busy_machine_too(world: World) -> None:
    world.give("wrong")
    with pytest.raises(LoginRefusedError):
        world.run(Slow())
    assert world.argocd.logins == ["refused"]


def test_doubt_never_adds_up_to_a_locked_account(world: World) -> None:
    world.argocd.verdict_takes = 0.0  # as if the overhead were measured too high each time
    world.give("wrong")
    with pytest.raises(LoginRefusedError):
        world.run(Slow())
    assert world.argocd.logins == ["refused"] * 3


def test_doubt_and_lost_answers_never_add_up_to_a_locked_account(world: World) -> None:
    """Each may be a refusal that counts: three are sent, whatever was unclear about them."""
    world.argocd.verdict_takes = 0.0
    world.give("wrong")

    class LossyAndSlow(Slow):
        def comes(self, step: str) -> str:
            super().comes(step)
            return "lost" if "session" in step and len(world.argocd.logins) < 2 else ""

    with pytest.raises(AuthError):
        world.run(LossyAndSlow())
    assert world.argocd.logins == ["refused"] * 3


def test_a_login_whose_answers_are_lost_is_sent_three_times_at_most(world: World) -> None:
    world.give("wrong")

    class Lossy(Plan):
        def comes(self, step: str) -> str:
            return "lost" if "session" in step else ""

    with pytest.raises(AuthError, match="did not answer 3 logins") as lost:
        world.run(Lossy())
    assert lost.value.exit_code == 75
    assert world.argocd.logins == ["refused"] * 3


@pytest.mark.parametrize(
    ("account", "says"),
    [
        (FakeAccount("pw", ["login"]), "lacks the apiKey"),
        (FakeAccount("pw", ["apiKey"]), "lacks the login"),
        (FakeAccount("pw", enabled=False), "is disabled"),
    ],
)
def test_missing_privileges_are_named_with_both_remedies(world: World, account: FakeAccount, says: str) -> None:
    world.argocd.accounts["robot"] = account
    world.username = "robot"
    world.give("pw")
    with pytest.raises(PrivilegeError, match=says) as refused:
        world.run()
    assert "argocd-cm" in refused.value.remedy
    assert "configs.cm" in refused.value.remedy
    assert account.keys == {}
    assert world.argocd.live_sessions() == []


def test_missing_credential_names_secret_and_key(world: World) -> None:
    world.give("")
    with pytest.raises(MissingSecretError, match=r'Secret "mine" in namespace runtime-ns .* key "password"'):
        world.run()


def test_foreign_secret_stays_as_it_is_and_no_key_is_left(world: World) -> None:
    foreign = {"metadata": {"name": store.NAME, "labels": {"app.kubernetes.io/managed-by": "Helm"}}, "data": {}}
    world.cluster.create(SECRET.rpartition("/")[0], foreign)
    before = world.cluster.get(SECRET)
    with pytest.raises(ForeignSecretError):
        world.run()
    assert world.cluster.get(SECRET) == before
    assert world.live() == []
    assert world.argocd.live_sessions() == []


@pytest.mark.parametrize("kind", ["good", "revoked", "session", "garbage", "pasted"])
def test_a_token_is_checked_and_nothing_created(world: World, kind: str) -> None:
    world.run()
    token = world.argocd.made[-1]
    made = len(world.argocd.made)
    world.auth_type = "token"
    world.give({"session": world.argocd.sessions[0], "garbage": "x.y.z", "pasted": f" {token}\n"}.get(kind, token))
    if kind in ("good", "pasted"):
        assert "works" in world.run()
    else:
        if kind == "revoked":
            world.argocd.accounts["admin"].keys.clear()
        with pytest.raises(KeyRefusedError if kind == "revoked" else ConfigurationError):
            world.run()
    assert len(world.argocd.made) == made


def test_two_runs_at_once_end_with_one_key(world: World) -> None:
    """The second run writes between the first one's read and write."""

    class Overtaken(Plan):
        def comes(self, step: str) -> str:
            if step == "kubernetes POST /secrets" and not self.hit:
                self.hit = True
                world.run()
            return ""

    world.mount()
    assert "still works" in ensure(world.context(Overtaken()))
    healthy(world)
    assert len(world.argocd.made) == 2


def scenario(world: World, name: str) -> None:
    if name != "install":
        world.run()
    if name == "revoked":
        world.argocd.accounts["admin"].keys.clear()
    if name == "leftover":  # what a crash of another run left
        world.argocd.accounts["admin"].keys[world.owner.new_id()] = 1


def test_two_upgrades_at_once_end_with_one_key(world: World) -> None:
    """The Secret is replaced only in the version that was read: the slower run takes the faster one's key."""

    class Overtaken(Plan):
        def comes(self, step: str) -> str:
            if step == "kubernetes PUT /secrets/argocd-token" and not self.hit:
                self.hit = True
                world.run()
            return ""

    world.run()
    world.argocd.accounts["admin"].keys.clear()
    world.mount()
    plan = Overtaken()
    assert "still works" in ensure(world.context(plan))
    assert plan.hit
    healthy(world)


def outcome(world: World, plan: Plan) -> str | int:
    """Run the hook; return its exit code if it fails as it should: in two sentences."""
    try:
        world.run(plan)
    except Killed:
        return "killed" if plan.kind.startswith("kill") else "unexpected"
    except AuthError as e:
        return e.exit_code if e.problem.endswith(".") and e.remedy.endswith(".") else f"{e.problem} {e.remedy}"
    return "done"


SCENARIOS = ["install", "upgrade", "revoked", "leftover"]
KINDS = ["kill-before", "kill-after", "reset", "refused", "lost", "truncated", *REPLACED]


def steps(world: World, name: str) -> list[tuple[str, int]]:
    """Every request that a run of this scenario makes."""
    scenario(world, name)
    plan = Plan()
    world.run(plan)
    return [(step, n) for step, times in sorted(plan.seen.items()) for n in range(1, times + 1)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_fault_at_every_step_is_put_right_by_the_next_run(
    world: World, name: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for step, occurrence in steps(World(tmp_path_factory.mktemp("dry")), name):
        fresh = World(tmp_path_factory.mktemp("run"))
        scenario(fresh, name)
        plan = Plan(step, kind, occurrence)
        assert outcome(fresh, plan) in ("done", "killed", 69, 75, 77, 78), f"{kind} at {step}"
        assert plan.hit, f"{step} did not come up"
        fresh.run()
        assert fresh.live() == [fresh.key()], f"{kind} at {step}, {occurrence}"
        assert "refused" not in fresh.argocd.logins


def test_two_crashes_in_a_row_are_put_right(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    all_steps = steps(World(tmp_path_factory.mktemp("dry")), "install")
    for first in all_steps:
        for second in all_steps:
            fresh = World(tmp_path_factory.mktemp("run"))
            for step, occurrence in (first, second):
                outcome(fresh, Plan(step, "kill-after", occurrence))
            fresh.run()
            assert fresh.live() == [fresh.key()], f"{first} then {second}"


def test_a_key_that_could_not_be_stored_is_taken_back(world: World) -> None:
    with pytest.raises(AuthError):
        world.run(Plan("kubernetes POST /secrets", "503"))
    assert world.live() == []


def test_write_whose_answer_was_lost_keeps_the_key_it_wrote(world: World) -> None:
    world.run(Plan("kubernetes POST /secrets", "lost"))
    healthy(world)
    assert len(world.argocd.made) == 1


def test_a_key_is_asked_for_again_where_many_write_argocds_secret_at_once(world: World) -> None:
    world.run(Plan("argocd POST /api/v1/account/NAME/token", "409-aborted"))
    healthy(world)
    assert len(world.argocd.made) == 1


def test_key_whose_answer_was_lost_is_taken_back_before_the_next_is_made(world: World) -> None:
    world.run(Plan("argocd POST /api/v1/account/NAME/token", "lost"))
    healthy(world)
    assert len(world.argocd.made) == 2


def test_install_has_the_steps_that_the_matrix_goes_through(world: World) -> None:
    assert len(steps(world, "install")) >= 9


def test_an_unverified_certificate_is_told_in_the_log(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    log.setup("warning")
    world.run()
    assert "is not verified" not in capsys.readouterr().err
    context = world.context()
    unverified = replace(context.settings.server, insecure_skip_verify=True)
    ensure(replace(context, settings=replace(context.settings, server=unverified)))
    assert "is not verified (global.external-arg-cd.server.insecureSkipVerify)" in capsys.readouterr().err
