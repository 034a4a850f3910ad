"""A credential goes only where it belongs: to an Argo CD that is trusted, and a key to the one that made it."""

import unicodedata

import pytest

from tests.fakes import SOON
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.authority import authority
from tests.fakes.web import Answer, as_json
from tests.fakes.world import ACCOUNT, PASSWORD, World

PAGE = Answer(200, b"<!doctype html><html>Please sign in</html>", {"Content-Type": "text/html"})
REDIRECT = Answer(302, b"", {"Location": "https://sso.example.invalid/\x9b31m?login"})
COMMANDS = ["ensure", "cleanup"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "answer", [PAGE, REDIRECT, as_json(200, {"hello": 1}), as_json(200, [])], ids=["page", "redirect", "object", "list"]
)
def test_no_password_before_the_server_has_shown_to_be_argocd(world: World, command: str, answer: Answer) -> None:
    world.argocd.server.fault("/api/version$", answer=answer)
    done = world.run(command)
    assert world.argocd.received == set()
    assert world.argocd.server.asked("/session") == []
    if command == "ensure":
        assert done.code == 78


def test_nor_does_the_install_hook_send_a_stored_key(world: World) -> None:
    world.begin_installed()
    world.argocd.received.clear()
    world.argocd.server.fault("/api/version$", answer=PAGE)
    assert world.upgrade().code == 78
    assert world.argocd.received == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_certificate_that_nobody_trusts_gets_nothing(world: World, command: str) -> None:
    world.trust(world.other)
    done = world.run(command)
    assert world.argocd.server.log == []
    if command == "ensure":
        assert done.code == 78
        assert done.problem.startswith(f"The certificate of {world.url} is not signed by a known CA ")


def test_a_servers_own_certificate_can_be_pinned(world: World) -> None:
    """A stock Argo CD keeps its self-signed certificate in argocd-secret: the user copies that."""
    world.mount("ca", **{"ca.crt": authority("argocd").leaf})
    done = world.install()
    assert done.code == 0, done.said


def test_a_ca_that_is_none_is_named(world: World) -> None:
    world.mount("ca", **{"ca.crt": "not a certificate"})
    done = world.install()
    assert done.code == 78
    assert "ca.crt" in done.said
    assert world.argocd.server.log == []


def test_an_unverified_certificate_is_warned_of(world: World) -> None:
    assert not any("verif" in w for w in world.install().warnings)
    world.trust(world.other)
    world.insecure = True
    done = world.upgrade()
    assert done.code == 0, done.said
    assert (
        f"The certificate of {world.url} is not verified (insecureSkipVerify), so that anybody on the network path can"
        " read the credential."
    ) in done.warnings


def test_plain_http_is_warned_of_alike(world: World) -> None:
    plain = FakeArgoCD()
    plain.account(ACCOUNT, password=PASSWORD)
    world.server = plain
    try:
        done = world.install()
        assert done.code == 0, done.said
        assert (
            f"The connection to {world.url} is not encrypted, so that anybody on the network path can read the"
            " credential."
        ) in done.warnings
    finally:
        plain.close()


def test_plain_http_to_a_tls_port_is_told(world: World) -> None:
    plain = world.derived["url"] = world.url.replace("https", "http")
    done = world.install()
    assert done.code == 78
    to = f"{world.argocd.url}/api/version"
    assert done.problem == f"{plain} redirects to {to}; credentials are never sent along."
    assert world.argocd.received == set()


def test_a_key_goes_only_to_the_server_that_made_it(world: World) -> None:
    world.begin_installed()
    first, token = world.key, world.token
    world.move_to(world.other)
    done = world.upgrade()
    assert done.code == 0, done.said
    assert token not in world.other.received
    assert PASSWORD not in world.other.received
    assert world.other.accepts(world.token)
    assert world.argocd.live_keys(ACCOUNT) == [first], "pods may still use it"
    assert world.argocd.received.isdisjoint({world.token, *world.other.sessions.values()})


@pytest.mark.parametrize("verified", [True, False], ids=["verified", "insecureSkipVerify"])
@pytest.mark.parametrize("command", ["retire", "cleanup"])
def test_a_replaced_key_is_revoked_where_it_was_made_with_the_trust_of_then(
    world: World, command: str, verified: bool
) -> None:
    world.trust(world.argocd if verified else None)
    world.insecure = not verified
    world.install()
    first, token = world.key, world.token
    world.move_to(world.other)
    world.insecure = False
    world.upgrade()
    world.roll_out()
    world.remount()
    assert world.run(command).code == 0
    assert first not in world.argocd.live_keys(ACCOUNT)
    assert token not in world.other.received
    assert world.argocd.received.isdisjoint(world.other.made)


@pytest.mark.parametrize("verified", [True, False], ids=["verified", "insecureSkipVerify for the new one"])
@pytest.mark.parametrize("command", ["retire", "cleanup"])
def test_a_stored_address_with_another_certificate_gets_no_key(world: World, command: str, verified: bool) -> None:
    """Somebody else sits at the old server's address by now."""
    world.begin_installed()
    token, port = world.token, world.argocd.server.port
    world.move_to(world.other)
    world.insecure = not verified
    world.upgrade()
    world.roll_out()
    world.argocd.server.go_down()
    impostor = FakeArgoCD(authority("other").tls)
    impostor.server.go_down()
    impostor.server.port = port
    impostor.server.open_again()
    try:
        world.remount()
        assert world.run(command).code == 0
        assert token not in impostor.received
    finally:
        impostor.close()


def test_control_characters_of_a_server_reach_no_terminal(world: World) -> None:
    world.argocd.server.fault("/api/version$", answer=REDIRECT)
    done = world.install()
    assert done.code == 78
    assert not any(unicodedata.category(c) == "Cc" and c != "\n" for c in done.said)


def test_headers_that_the_user_gives_go_out_with_every_request_and_into_no_log(world: World) -> None:
    world.mount("headers", **{"X-Proxy-Token": "canary-header\n", "X-Team": "runtime"})
    world.headers = "proxy"
    done = world.install()
    assert done.code == 0, done.said
    assert {r.headers.get("X-Proxy-Token") for r in world.argocd.server.log} == {"canary-header"}
    assert {r.headers.get("X-Team") for r in world.argocd.server.log} == {"runtime"}
    assert "canary-header" not in done.said


def test_those_headers_do_not_go_to_another_server(world: World) -> None:
    world.begin_installed()
    before = len(world.argocd.server.log)
    world.move_to(world.other)
    world.mount("headers", **{"X-Proxy-Token": "canary-header"})
    world.headers = "proxy"
    world.upgrade()
    world.roll_out()
    world.retire()
    assert {r.headers.get("X-Proxy-Token") for r in world.argocd.server.log[before:]} == {None}


# Secrets that come late


def test_a_missing_password_is_named(world: World) -> None:
    world.give("")
    done = world.install()
    assert done.code == 78
    assert '"mine"' in done.problem
    assert '"password"' in done.problem
    assert world.namespace in done.problem
    assert done.seconds < SOON, "hook.waitForSecrets counts, not hook.timeout"


def test_a_password_that_comes_late_is_waited_for(world: World) -> None:
    world.give("")
    world.set("hook.waitForSecrets", 10)
    world.later(0.1, lambda: world.give(PASSWORD))
    done = world.install()
    assert done.code == 0, done.said
    assert '"mine"' in done.log, "the log says what is waited for"


@pytest.mark.parametrize("late", [False, True])
def test_a_missing_ca_is_waited_for_and_named(world: World, late: bool) -> None:
    world.trust(None)
    world.set("hook.waitForSecrets", 10 if late else 0)
    if late:
        world.later(0.1, lambda: world.trust(world.argocd))
    done = world.install()
    assert done.code == (0 if late else 78)
    assert 'Secret "ca", key "ca.crt" does not exist' in done.log
    assert late or done.seconds < SOON


def test_nothing_is_waited_for_where_a_stored_key_is_good(world: World) -> None:
    world.begin_installed()
    world.give("")
    world.set("hook.waitForSecrets", 60)
    world.set("hook.timeout", 60)
    done = world.upgrade()
    assert done.seconds < SOON


@pytest.mark.parametrize("late", [False, True])
def test_headers_that_are_missing_are_waited_for_and_named(world: World, late: bool) -> None:
    world.headers = "proxy"
    world.set("hook.waitForSecrets", 10 if late else 0)
    if late:
        world.later(0.1, lambda: world.mount("headers", **{"X-Team": "runtime"}))
    done = world.install()
    assert done.code == (0 if late else 78)
    assert '"proxy"' in done.log
    assert late or world.argocd.server.log == []
    assert late or done.seconds < SOON


def test_without_the_names_that_the_chart_gives_nothing_is_sent(world: World) -> None:
    world.remount()
    done = world.run("ensure", RELEASE_NAME="")
    assert done.code == 64
    assert "RELEASE_NAME" in done.problem
    assert world.argocd.server.log == []
