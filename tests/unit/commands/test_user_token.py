"""``type: token`` in ``ensure``: the user's key is looked at, and nothing is made, written or revoked."""

import pytest

from tests.fakes.tokens import signed
from tests.fakes.world import ACCOUNT, World

FRESH = "Make one with argocd account generate-token --account NAME (without --expires-in) and use that."


@pytest.fixture
def given(world: World) -> World:
    """A release with a user's own good key."""
    world.use_token(world.argocd.make_key(ACCOUNT, "users-own"))
    return world


def untouched(world: World) -> None:
    assert world.argocd.live_keys(ACCOUNT) == ["users-own"]
    assert world.argocd.logins.seen == []
    writes = [
        str(r) for r in world.kubernetes.server.asked("^(POST|PUT|PATCH|DELETE) ") if not r.path.endswith("/events")
    ]
    assert writes == []


@pytest.mark.parametrize("pasted", ["{}", "{}\n", "  {} \r\n"])
def test_a_good_key_is_accepted_as_it_was_pasted(given: World, pasted: str) -> None:
    given.give(pasted.format(given.argocd.made[0]))
    done = given.install()
    assert done.code == 0, done.said
    assert done.log.endswith(f"\nThe API key users-own of account {ACCOUNT} works; nothing was changed.\n")
    untouched(given)


def test_an_account_that_may_not_log_in_is_fine(given: World) -> None:
    given.argocd.account(ACCOUNT, "apiKey")
    assert given.install().code == 0


def test_an_account_whose_role_sees_no_applications_is_warned_of(given: World) -> None:
    [told] = given.install().warnings
    assert told.startswith(f"Argo CD account {ACCOUNT} may not see all applications. ")
    given.argocd.may_see.add(ACCOUNT)
    assert not any("applications" in w for w in given.upgrade().warnings)


def test_a_revoked_key_is_named_with_the_commands_that_replace_it(given: World) -> None:
    given.argocd.revoke(ACCOUNT)
    done = given.install()
    assert done.code == 77
    assert done.problem == (
        f'Argo CD at {given.url} refuses the API key of account {ACCOUNT} from Secret "mine", key "token":'
        " the key has been revoked."
    )
    assert done.remedy == (
        f"Replace it: TOKEN=$(argocd account generate-token --account {ACCOUNT}) and kubectl -n runtime-ns"
        ' patch secret mine --type merge -p "{\\"stringData\\": {\\"token\\": \\"$TOKEN\\"}}".'
    )
    assert given.argocd.made[0] not in done.said


def test_a_disabled_account_is_named(given: World) -> None:
    given.argocd.accounts.enable(ACCOUNT, False)
    done = given.install()
    assert done.code == 77
    assert done.problem == f"Argo CD account {ACCOUNT} is disabled."
    assert f"accounts.{ACCOUNT}.enabled" in done.remedy


@pytest.mark.parametrize(
    ("token", "says", "remedy"),
    [
        ("no token at all", "The token from {} is not an Argo CD token (no JWT).", FRESH),
        ("a.b.c", "The token from {} is not an Argo CD token (no JWT).", FRESH),
        (
            signed("runtime:login", "s", 1),
            "The token from {} is a login session of account runtime, which ends within a day.",
            FRESH,
        ),
        (
            signed("proj:team:role", "r", 1),
            "The token from {} is one of a project's role, which can't be checked and has no account.",
            "Make an account and a key for it: argocd account generate-token --account NAME.",
        ),
        (signed("runtime:login:x", "o", 1), "The token from {} is not an API key of an Argo CD account.", FRESH),
        (
            signed("runtime:apiKey", "k", 1, 9999999999),
            "The API key of account runtime from {} expires.",
            f"{FRESH} If somebody else renews it in time, set global.external-arg-cd.auth.acceptExpiring=true.",
        ),
        ("", "missing", ""),
    ],
    ids=["text", "dots", "session", "project role", "something else", "expiring", "empty"],
)
def test_what_can_not_serve_is_refused_without_asking_argocd_with_it(
    given: World, token: str, says: str, remedy: str
) -> None:
    given.give(token)
    done = given.install()
    assert done.code == 78
    assert says.format('Secret "mine", key "token"') in done.problem
    assert remedy in done.remedy
    assert token not in given.argocd.received or not token
    untouched(given)


def test_a_key_that_is_not_valid_yet_is_refused_by_argocds_clock(given: World) -> None:
    now = int(given.argocd.now())
    given.give(signed(f"{ACCOUNT}:apiKey", "users-own", now + 3600, signature=given.argocd.signature))
    done = given.install()
    assert done.code == 78
    assert done.problem == f'The API key of account {ACCOUNT} from Secret "mine", key "token" is not valid yet.'
    assert done.remedy == "Correct the clocks, or wait."
    for ahead, code in ((3600 - 70, 78), (3600 - 50, 0), (3600, 0)):  # clocks may differ by a minute
        given.argocd.ahead = ahead
        assert given.install().code == code


def test_an_expiring_key_is_taken_where_somebody_renews_it(given: World) -> None:
    token = given.argocd.make_key(ACCOUNT, "for-a-day", expires_in=86400)
    given.use_token(token, acceptExpiring=True)
    done = given.install()
    assert done.code == 0, done.said


def test_an_expired_key_is_refused_whoever_renews_it(given: World) -> None:
    token = given.argocd.make_key(ACCOUNT, "for-a-day", age=90000, expires_in=86400)
    given.use_token(token, acceptExpiring=True)
    assert given.install().code == 77


@pytest.mark.parametrize("copied", [False, True], ids=["the key Secret itself", "a copy of its key"])
def test_the_releases_own_key_is_refused(world: World, copied: bool) -> None:
    """``retire`` would revoke it and delete the Secret after a green upgrade."""
    world.install()
    world.use_token(world.token, "mine" if copied else "argocd-token")
    done = world.upgrade()
    assert done.code == 78
    assert "is the API key that this release made for itself and will revoke." in done.problem
    assert done.remedy == (
        f'Keep type: password, or put a key of your own into a Secret with another name than "argocd-token". {FRESH}'
    )
    assert world.live() == [world.key]


def test_another_releases_key_is_fine(world: World) -> None:
    """Two releases may share one key: who made it keeps it."""
    world.use_token(world.argocd.make_key(ACCOUNT, "gra.ffffffffffff.elsewhere.r.20260101t000000z-0123456789ab"))
    assert world.install().code == 0


def test_a_gateways_401_is_no_verdict_on_the_key(given: World) -> None:
    from tests.fakes.web import as_json

    given.argocd.server.fault("GET .*/account/", answer=as_json(401, {"message": "please sign in"}))
    done = given.install()
    assert done.code not in (0, 77)
    assert "revoked" not in done.said
