"""``verify``, as ``helm test`` runs it: a row per credential, and what fails the test."""

import base64
import hashlib
import json
import socket
from typing import Any

import pytest

from gitops_runtime_auth.timing import Timing
from tests.fakes import SOON
from tests.fakes.kubernetes import Rule
from tests.fakes.logins import Verdict
from tests.fakes.web import Request, Server, as_json, as_text
from tests.fakes.world import ACCOUNT, FAST, NAMESPACE, ONCE, PASSWORD, REFUSED, Run, World, cheap_scrypt

RECORDS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
RECORD = f"{RECORDS}/{REFUSED}"
FOUR = "--deployments=app-proxy,sources-server,event-reporter,gitops-operator"
WRONG = "canary-wrong-password"


def run(world: World, *argv: str, timing: Timing = FAST, **environ: Any) -> Run:
    """Run the test Pod of a release whose Runtime has the newest key of Argo CD."""
    key = world.argocd.made[-1] if world.argocd.made else world.argocd.make_key(ACCOUNT, "mine")
    world.mount("argocd", token=key)
    injected: dict[str, Any] = {
        "ARGO_CD_TOKEN": key,
        "ARGO_CD_TOKEN_FILE": str(world.files / "argocd" / "token"),
        "ARGO_CD_USERNAME": ACCOUNT,
        "ARGO_CD_PASSWORD": PASSWORD,
    }
    given = {name: value for name, value in {**injected, **environ}.items() if value is not None}
    return world.run("verify", *argv, timing=timing, **given)


def table(done: Run) -> list[list[str]]:
    """Return the printed rows: consumer, credential, account and result."""
    lines = done.out.splitlines()
    starts = [lines[0].index(word) for word in ("CONSUMER", "CREDENTIAL", "ACCOUNT", "RESULT")]
    ends = [*starts[1:], None]
    return [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines[1:]]


def test_every_credential_of_the_runtime_is_accepted(world: World) -> None:
    done = run(world, FOUR)
    assert (done.code, done.termination) == (0, "")
    others = ("sources-server", "event-reporter", "gitops-operator")
    assert table(done) == [
        ["app-proxy", "username and password", ACCOUNT, "accepted"],
        *([name, which, ACCOUNT, "accepted"] for name in others for which in ("ARGO_CD_TOKEN", "ARGO_CD_TOKEN_FILE")),
    ]
    assert world.argocd.live_sessions() == [], "its session is ended"
    assert world.argocd.logins.verdicts() == [Verdict.OK]
    assert {path for _, path in world.kubernetes.writes()} <= {RECORDS, RECORD}, "the login was announced"
    assert world.record() == ""


def test_with_a_token_app_proxy_takes_it_from_its_environment(world: World) -> None:
    key = world.argocd.make_key(ACCOUNT, "mine")
    done = run(world, "--deployments=app-proxy", ARGO_CD_TOKEN=f" {key}\n", ARGO_CD_USERNAME="")
    assert done.code == 0
    assert table(done) == [["app-proxy", "ARGO_CD_TOKEN", ACCOUNT, "accepted"]]
    assert world.argocd.logins.verdicts() == []
    assert world.kubernetes.log == [], "the Pod has no ServiceAccount token then"


def test_a_wrong_password_is_77_is_sent_once_and_is_told_last(world: World) -> None:
    done = run(world, FOUR, ARGO_CD_PASSWORD=WRONG, ARGO_CD_TOKEN="not a token")
    assert done.code == 77
    assert world.argocd.logins.verdicts() == [Verdict.WRONG]
    results = [row[3] for row in table(done)]
    assert results[0] == f"{done.problem} {done.remedy}"
    assert f"the login of account {ACCOUNT}: " in done.problem
    assert json.loads(world.record())["verdict"] == "refused"
    assert results[1] == "It is not an Argo CD token. Correct the Secret that the workload refers to."
    assert results[2] == "accepted", "the others are proven all the same"
    assert WRONG not in done.said


def test_a_revoked_key_is_77_with_the_reason(world: World) -> None:
    world.argocd.make_key(ACCOUNT, "mine")
    world.argocd.revoke(ACCOUNT)
    done = run(world, "--deployments=event-reporter")
    assert done.code == 77
    assert [row[3].count("the key has been revoked") for row in table(done)] == [1, 1]
    assert "the key has been revoked" in done.problem


def test_a_file_that_is_not_there_is_78_and_named(world: World) -> None:
    done = run(world, "--deployments=event-reporter", ARGO_CD_TOKEN_FILE="/nonexistent/token")
    assert done.code == 78
    assert done.problem == "The file /nonexistent/token can't be read (No such file or directory)."
    assert done.remedy == "Correct the Secret that the workload refers to."


def test_what_the_environment_lacks_is_told_in_the_row_of_who_needs_it(world: World) -> None:
    missing: dict[str, Any] = dict.fromkeys(("ARGO_CD_PASSWORD", "ARGO_CD_TOKEN", "ARGO_CD_TOKEN_FILE"))
    done = run(world, "--deployments=app-proxy,event-reporter", **missing)
    assert done.code == 77
    password, token, file = (row[3] for row in table(done))
    assert "the password is blank" in password
    remedy = "Correct the Secret that the workload refers to."
    assert (token, file) == (
        f"It is not an Argo CD token. {remedy}",
        f"The file . can't be read (Is a directory). {remedy}",
    )


def test_a_file_that_is_no_text_is_no_token(world: World) -> None:
    file = world.files / "odd"
    file.write_bytes(b"\xff\xfe")
    done = run(world, "--deployments=event-reporter", ARGO_CD_TOKEN_FILE=str(file))
    assert (done.code, done.problem) == (78, "It is not an Argo CD token.")


def test_nothing_is_sent_to_what_has_not_shown_to_be_argocd(world: World) -> None:
    """Another program answers at the address, and would take any password or key."""
    received: list[tuple[str, str | None, bytes]] = []

    def answer(request: Request) -> Any:
        received.append((str(request), request.headers.get("Authorization"), request.body))
        return as_text(404, "not here") if request.path == "/api/version" else as_json(200, {"token": "x"})

    impostor = Server(answer)
    world.derived["url"] = impostor.url
    done = run(world, FOUR)
    impostor.close()
    assert done.code == 78
    assert received == [("GET /api/version", None, b"")]


def test_an_argocd_that_is_down_fails_before_any_credential(world: World) -> None:
    with socket.socket() as reserved:  # nobody listens, and nobody else gets the port
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        world.derived["url"] = url
        done = run(world, FOUR, timing=ONCE)
    assert (done.code, done.out) == (69, "")
    assert done.seconds < SOON


def sent_before(world: World, password: str, age: float, verdict: str) -> str:
    """Return a record as the hook writes it for a login that it sent ``age`` seconds ago."""
    salt = b"0123456789abcdef"
    text = json.dumps([world.url, ACCOUNT, password]).encode()
    with cheap_scrypt():  # as World.run has it
        slow = hashlib.scrypt(text, salt=salt, n=2**14, r=8, p=1)
    encoded = {"salt": base64.b64encode(salt).decode(), "hash": base64.b64encode(slow).decode()}
    return json.dumps({**encoded, "at": world.argocd.now() - age, "sends": 1, "verdict": verdict, "refusals": 1})


@pytest.mark.parametrize(
    ("age", "verdict", "sent"), [(320, "refused", False), (340, "refused", True), (9, "unclear", False)]
)
def test_a_password_of_the_record_is_not_sent(world: World, age: int, verdict: str, sent: bool) -> None:
    """By Argo CD's clock, which is an hour ahead of this machine's."""
    world.argocd.ahead = 3600.0
    world.put(RECORD, {"metadata": {"name": REFUSED}, "data": {"record": sent_before(world, WRONG, age, verdict)}})
    done = run(world, "--deployments=app-proxy", ARGO_CD_PASSWORD=WRONG)
    assert done.code != 0
    assert table(done)[0][2] == "-"
    assert bool(world.argocd.logins.verdicts()) == sent
    assert run(world, "--deployments=app-proxy").code == 0, "another password is sent"


def test_however_often_it_is_run_a_wrong_password_is_sent_once(world: World) -> None:
    """Whoever sees ``helm test`` fail runs it again, and the keeper and the hook come on top."""
    world.begin_installed()
    world.give(WRONG)
    for _ in range(6):
        assert run(world, "--deployments=app-proxy", ARGO_CD_PASSWORD=WRONG).code == 77
    world.argocd.revoke(ACCOUNT)
    assert not world.keeper().check().ready
    assert world.upgrade().code == 77
    assert world.argocd.logins.verdicts() == [Verdict.OK, Verdict.WRONG]


def test_a_login_in_doubt_is_not_sent_again(world: World) -> None:
    world.argocd.server.fault("POST .*/session", cut="after")
    done = run(world, "--deployments=app-proxy")
    assert done.code != 0
    assert world.argocd.logins.verdicts() == [Verdict.OK]


def test_a_session_that_can_not_be_ended_is_a_warning(world: World) -> None:
    world.argocd.server.fault("logout", answer=as_json(500, {"code": 13}))
    done = run(world, "--deployments=app-proxy")
    assert done.code == 0
    assert done.warnings[0].startswith("The login session could not be ended")


def test_outside_helm_test_it_says_so(world: World) -> None:
    done = run(world, FOUR, RELEASE_NAME="")
    assert (done.code, done.problem) == (64, "The environment lacks RELEASE_NAME.")


def test_settings_that_somebody_changed_are_refused_before_anything_is_sent(world: World) -> None:
    assert run(world, FOUR, SETTINGS_SHA256="0" * 64).code == 78
    assert world.argocd.server.log == []


# keeper.consumers


def deployment(*environment: dict[str, Any], volumes: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    container = {"name": "main", "image": "x", "env": list(environment)}
    return {"spec": {"template": {"spec": {"containers": [container], "volumes": volumes or []}}}}


def variable(name: str, key: str, secret: str = "argocd-token") -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def consume(world: World, *names: str, keys: str = "token", secret: str = "argocd-token", **mounted: str) -> Run:
    """Run the test Pod for these consumers, with the key Secret mounted."""
    key = world.argocd.make_key(ACCOUNT, "mine")
    data = {"url": "url", **dict.fromkeys(keys.split(","), "token")}
    world.values["keySecret"] = {"name": secret, "data": data}
    world.mount("key", **({keys.split(",")[0]: key} | mounted))
    return run(world, f"--consumers={','.join(names)}")


def test_each_consumers_credential_is_found_and_proven(world: World) -> None:
    world.put(world.path_of("deployment/a"), deployment(variable("ARGO_TOKEN", "token"), variable("ARGO_URL", "url")))
    mounted = {"name": "key", "secret": {"secretName": "argocd-token"}}
    world.put(world.path_of("statefulset/b"), deployment(volumes=[mounted]))
    done = consume(world, "deployment/a", "statefulset/b", "deployment/c")
    assert done.code == 0
    assert table(done) == [
        ["deployment/a", "variable ARGO_TOKEN, key token", ACCOUNT, "accepted"],
        ["statefulset/b", "volume key, key token", ACCOUNT, "accepted"],
        ["deployment/c", "-", "-", "does not exist (yet), so there is nothing to prove"],
    ]


def test_a_secret_may_hold_the_token_under_other_keys(world: World) -> None:
    world.put(world.path_of("deployment/a"), deployment({"name": "SECRET", "value": "other"}))
    keys = "argocd.token,ARGO_TOKEN,none"
    done = consume(world, "deployment/a", keys=keys, secret="other", ARGO_TOKEN="not a token")
    assert done.code == 78
    found = {row[1]: row[3] for row in table(done)}
    assert list(found) == [f"name in variable SECRET, key {key}" for key in keys.split(",")]
    assert [result.partition(".")[0] for result in found.values()][:2] == ["accepted", "It is not an Argo CD token"]
    assert "key/none can't be read" in list(found.values())[2]


def test_a_consumer_whose_template_does_not_show_the_secret_is_told_and_fails_nothing(world: World) -> None:
    world.put(world.path_of("deployment/a"), deployment(variable("T", "token", "another"), variable("U", "url")))
    done = consume(world, "deployment/a")
    assert done.code == 0
    (row,) = table(done)
    assert row[1:] == ["-", "-", "not proven: no variable and no volume takes a token from Secret argocd-token"]


def test_a_key_that_argocd_refuses_fails_consumers_too(world: World) -> None:
    world.put(world.path_of("deployment/a"), deployment(variable("T", "token")))
    world.argocd.accounts.enable(ACCOUNT, False)
    done = consume(world, "deployment/a")
    assert done.code == 77
    assert "the account is disabled" in table(done)[0][3]


def test_what_can_not_be_looked_at_fails_the_test_and_the_others_are_proven(world: World) -> None:
    for name in ("a", "c"):
        world.put(world.path_of(f"deployment/{name}"), deployment(variable("T", "token")))
    world.kubernetes.allowed = {Rule("get", "apps", "deployments", "c", NAMESPACE)}
    done = consume(world, "job/d", "deployment/a", "deployment/c")
    assert done.code == 77, "a refusal is told rather than another error"
    rows = table(done)
    assert [row[0] for row in rows] == ["job/d", "deployment/a", "deployment/c"]
    assert rows[0][3].startswith("'job/d' is neither deployment/NAME nor statefulset/NAME.")
    assert "deployments" in rows[1][3]
    assert rows[2][3] == "accepted"
