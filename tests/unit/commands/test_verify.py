"""``verify`` beside an Argo CD and a Kubernetes API that speak HTTP: a row per credential, and what fails a test."""

import base64
import hashlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitops_runtime_auth import __main__ as program
from gitops_runtime_auth.timing import Timing
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.kubernetes import FakeKubernetes, Rule
from tests.fakes.logins import Verdict
from tests.fakes.web import Server, as_json, as_text

FAST = Timing(first_retry=0.01, longest_retry=0.02, fastest_verdict=0.15, request=2.0)
FOUR = "--deployments=app-proxy,sources-server,event-reporter,gitops-operator"
PASSWORD = "canary-password"
DEPLOYMENTS = "/apis/apps/v1/namespaces/ns/deployments"


class Pod:
    """The test Pod: its environment, its files, and how its run ended."""

    def __init__(self, argocd: FakeArgoCD, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.argocd = argocd
        self.folder = folder
        self.patch = patch
        self.key = argocd.make_key("runtime", "mine")
        self.last = folder / "termination-log"
        self.last.touch()
        patch.setattr(program, "TERMINATION_LOG", self.last)
        file = self.write("argocd/token", self.key)
        self.environ(
            GITOPS_RUNTIME_AUTH_FILES=str(folder),
            ARGO_CD_URL=argocd.url,
            ARGO_CD_TOKEN=self.key,
            ARGO_CD_TOKEN_FILE=str(file),
            RELEASE_NAMESPACE="ns",
        )

    def environ(self, **variables: str) -> None:
        for name, value in variables.items():
            self.patch.setenv(name, value)

    def write(self, name: str, content: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def log_in_as(self, username: str, password: str) -> None:
        self.environ(ARGO_CD_USERNAME=username, ARGO_CD_PASSWORD=password)

    def run(self, *argv: str) -> int:
        return program.main(["verify", *argv], FAST)


@pytest.fixture
def argocd() -> Iterator[FakeArgoCD]:
    fake = FakeArgoCD()
    fake.account("runtime", password=PASSWORD)
    yield fake
    fake.close()


@pytest.fixture
def pod(argocd: FakeArgoCD, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(argocd, tmp_path, monkeypatch)


def table(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Return the printed rows: consumer, credential, account and result."""
    lines = capsys.readouterr().out.splitlines()
    starts = [lines[0].index(word) for word in ("CONSUMER", "CREDENTIAL", "ACCOUNT", "RESULT")]
    ends = [*starts[1:], None]
    return [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines[1:]]


def test_every_credential_of_the_runtime_is_accepted(
    pod: Pod, argocd: FakeArgoCD, capsys: pytest.CaptureFixture[str]
) -> None:
    pod.log_in_as("runtime", PASSWORD)
    assert pod.run(FOUR) == 0
    others = ("sources-server", "event-reporter", "gitops-operator")
    assert table(capsys) == [
        ["app-proxy", "username and password", "runtime", "accepted"],
        *([name, which, "runtime", "accepted"] for name in others for which in ("ARGO_CD_TOKEN", "ARGO_CD_TOKEN_FILE")),
    ]
    assert argocd.live_sessions() == [], "its session is ended"
    assert argocd.logins.verdicts() == [Verdict.OK]


def test_with_a_token_app_proxy_takes_it_from_its_environment(pod: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    pod.environ(ARGO_CD_TOKEN=f" {pod.key}\n")
    assert pod.run("--deployments=app-proxy") == 0
    assert table(capsys) == [["app-proxy", "ARGO_CD_TOKEN", "runtime", "accepted"]]


def test_a_wrong_password_is_77_is_sent_once_and_is_told_last(
    pod: Pod, argocd: FakeArgoCD, capsys: pytest.CaptureFixture[str]
) -> None:
    pod.log_in_as("runtime", "canary-wrong")
    pod.environ(ARGO_CD_TOKEN="not a token")
    assert pod.run(FOUR) == 77
    out, err = capsys.readouterr()
    assert out.count("It is not an Argo CD token.") == 3
    assert out.count(" accepted") == 3, "the others are proven all the same"
    assert argocd.logins.verdicts() == [Verdict.WRONG]
    problem, remedy = pod.last.read_text().splitlines()
    assert "refuses the login of account runtime" in problem
    assert err == f"ERROR: {problem}\nERROR: What to do: {remedy}\n"
    assert "canary" not in out + err + problem + remedy


def test_a_revoked_key_is_77_with_the_reason(pod: Pod, argocd: FakeArgoCD, capsys: pytest.CaptureFixture[str]) -> None:
    argocd.revoke("runtime")
    assert pod.run("--deployments=event-reporter") == 77
    assert [row[3].count("the key has been revoked") for row in table(capsys)] == [1, 1]
    assert "the key has been revoked" in pod.last.read_text()


def test_a_file_that_is_not_there_is_78_and_named(pod: Pod, capsys: pytest.CaptureFixture[str]) -> None:
    pod.environ(ARGO_CD_TOKEN_FILE="/nonexistent/token")
    assert pod.run("--deployments=event-reporter") == 78
    assert table(capsys)[1][3].startswith("The file /nonexistent/token can't be read (No such file or directory).")


def test_nothing_is_sent_to_what_has_not_shown_to_be_argocd(pod: Pod) -> None:
    """Another program answers at the address, and would take any password or key."""
    received: list[Any] = []

    def answer(request: Any) -> Any:
        received.append((str(request), request.headers.get("Authorization"), request.body))
        return as_text(404, "not here") if request.path == "/api/version" else as_json(200, {"token": "x"})

    impostor = Server(answer)
    pod.environ(ARGO_CD_URL=impostor.url)
    pod.log_in_as("runtime", PASSWORD)
    assert pod.run(FOUR) == 78
    impostor.close()
    assert received == [("GET /api/version", None, b"")]


def test_an_argocd_that_is_down_fails_at_once_when_the_time_is_over(pod: Pod) -> None:
    with socket.socket() as reserved:  # nobody listens, and nobody else gets the port
        reserved.bind(("127.0.0.1", 0))
        pod.environ(ARGO_CD_URL=f"http://127.0.0.1:{reserved.getsockname()[1]}")
        began = time.monotonic()
        assert pod.run(FOUR, "--timeout=0.1") == 69
    assert time.monotonic() - began < 1.5, "not once per credential"


def refused_before(url: str, account: str, password: str, at: float) -> str:
    """Return a record as the hook writes it for a refused login."""
    salt = b"0123456789abcdef"
    slow = hashlib.scrypt(json.dumps([url, account, password]).encode(), salt=salt, n=2**14, r=8, p=1)
    numbers = {"at": at, "sends": 1, "verdict": "refused", "refusals": 1}
    return json.dumps({"salt": base64.b64encode(salt).decode(), "hash": base64.b64encode(slow).decode(), **numbers})


@pytest.mark.parametrize(("age", "sent"), [(100, False), (400, True)])
def test_a_password_that_was_refused_lately_is_not_sent(pod: Pod, argocd: FakeArgoCD, age: int, sent: bool) -> None:
    """By Argo CD's clock, which is an hour ahead of this machine's."""
    argocd.ahead = 3600.0
    pod.write("refused/record", refused_before(argocd.url, "runtime", "canary-wrong", argocd.now() - age))
    pod.log_in_as("runtime", "canary-wrong")
    assert pod.run("--deployments=app-proxy") == 77
    assert bool(argocd.logins.verdicts()) == sent
    pod.log_in_as("runtime", PASSWORD)
    assert pod.run("--deployments=app-proxy") == 0, "another password is sent"


def test_a_session_that_can_not_be_ended_is_a_warning(
    pod: Pod, argocd: FakeArgoCD, capsys: pytest.CaptureFixture[str]
) -> None:
    argocd.server.fault("logout", answer=as_json(500, {"code": 13}))
    pod.log_in_as("runtime", PASSWORD)
    assert pod.run("--deployments=app-proxy") == 0
    out, err = capsys.readouterr()
    assert "accepted" in out
    assert "WARNING: The login session could not be ended" in err


def test_outside_helm_test_it_says_so(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARGO_CD_URL")
    assert pod.run(FOUR) == 64


# keeper.consumers


@pytest.fixture
def kubernetes(pod: Pod, tmp_path: Path) -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as fake:
        pod.environ(**fake.service_account(tmp_path / "serviceaccount"))
        pod.write("key/token", pod.key)
        yield fake


def deployment(*environment: dict[str, Any], volumes: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    container = {"name": "main", "image": "x", "env": list(environment)}
    return {"spec": {"template": {"spec": {"containers": [container], "volumes": volumes or []}}}}


def variable(name: str, key: str, secret: str = "argocd-token") -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


CONSUMERS = "--consumers=deployment/a,statefulset/b,deployment/c"


def test_each_consumers_credential_is_found_and_proven(
    pod: Pod, kubernetes: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    kubernetes.put(f"{DEPLOYMENTS}/a", deployment(variable("ARGO_TOKEN", "token"), variable("ARGO_URL", "url")))
    mounted = {"name": "key", "secret": {"secretName": "argocd-token"}}
    kubernetes.put(f"{DEPLOYMENTS.replace('deployments', 'statefulsets')}/b", deployment(volumes=[mounted]))
    assert pod.run(CONSUMERS, "--key-secret=argocd-token") == 0
    assert table(capsys) == [
        ["deployment/a", "variable ARGO_TOKEN, key token", "runtime", "accepted"],
        ["statefulset/b", "volume key, key token", "runtime", "accepted"],
        ["deployment/c", "-", "-", "not there (yet): nothing to prove"],
    ]


def test_a_secret_may_hold_the_token_under_other_keys(
    pod: Pod, kubernetes: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    kubernetes.put(f"{DEPLOYMENTS}/a", deployment({"name": "SECRET", "value": "mine"}))
    pod.write("key/argocd.token", pod.key)
    pod.write("key/ARGO_TOKEN", "not a token")
    argv = ("--consumers=deployment/a", "--key-secret=mine", "--token-keys=argocd.token,ARGO_TOKEN,none")
    assert pod.run(*argv) == 78
    rows = table(capsys)
    assert [row[1] for row in rows] == [
        f"name in variable SECRET, key {key}" for key in ("argocd.token", "ARGO_TOKEN", "none")
    ]
    assert rows[0][3] == "accepted"
    assert rows[1][3].startswith("It is not an Argo CD token.")
    assert rows[2][3].startswith("The file ")


def test_a_consumer_whose_template_does_not_show_the_secret_is_told_and_fails_nothing(
    pod: Pod, kubernetes: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    kubernetes.put(f"{DEPLOYMENTS}/a", deployment(variable("T", "token", "another"), variable("U", "url")))
    assert pod.run("--consumers=deployment/a", "--key-secret=argocd-token") == 0
    (row,) = table(capsys)
    assert row[1:] == ["-", "-", "not proven: no variable and no volume takes a token from Secret argocd-token"]


def test_a_revoked_key_fails_consumers_too(pod: Pod, argocd: FakeArgoCD, kubernetes: FakeKubernetes) -> None:
    kubernetes.put(f"{DEPLOYMENTS}/a", deployment(variable("T", "token")))
    argocd.revoke("runtime")
    assert pod.run("--consumers=deployment/a", "--key-secret=argocd-token") == 77


def test_without_the_right_to_read_a_consumer_the_others_are_proven_and_it_is_77(
    pod: Pod, kubernetes: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    kubernetes.put(f"{DEPLOYMENTS}/a", deployment(variable("T", "token")))
    kubernetes.put(f"{DEPLOYMENTS}/c", deployment(variable("T", "token")))
    kubernetes.allowed = {Rule("get", "apps", "deployments", "c", "ns")}
    assert pod.run("--consumers=deployment/a,deployment/c,job/d", "--key-secret=argocd-token") == 77
    rows = table(capsys)
    assert [row[3] for row in rows[1:2]] == ["accepted"]
    assert "deployments" in rows[0][3]
    assert rows[2][3].startswith("'job/d' is neither deployment/NAME nor statefulset/NAME.")
