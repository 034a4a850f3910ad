"""TLS handshakes with a server on the loopback: what is trusted, and each failure's own sentences."""

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from gitops_runtime_auth.argocd import handshake, tls
from gitops_runtime_auth.argocd.endpoint import Endpoint
from gitops_runtime_auth.errors import ConfigurationError, UnreachableError, WrongServerError
from tests.unit.argocd.server import CA, PEM, Reply, client_files, pem_of, server_context, serving, transport

HERE = CA.issue_cert("127.0.0.1")
ELSEWHERE = CA.issue_cert("argocd-server", "argocd-server.argocd.svc", "10.0.0.7")
ORIGIN = 'Secret "argocd-secret", key "tls.crt"'
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
FUTURE = datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(1)
PATH = "global.external-arg-cd.server"


def ask(cert: trustme.LeafCert, ca: str | None = PEM, **more: object) -> int:
    with serving(cert=cert) as served, transport(served.url, ca=ca, **more) as sender:
        return sender.send("GET", "/api/version", timeout=5).status


def refusal(cert: trustme.LeafCert, ca: str | None = PEM, **more: object) -> WrongServerError:
    with pytest.raises(WrongServerError) as wrong:
        ask(cert, ca, **more)
    return wrong.value


def test_a_certificate_of_the_given_ca_is_trusted() -> None:
    assert ask(HERE) == 200


def test_one_of_another_ca_is_not() -> None:
    with serving(cert=trustme.CA().issue_cert("127.0.0.1")) as served, transport(served.url, ca=PEM) as sender:
        with pytest.raises(WrongServerError):
            sender.send("POST", "/api/v1/session", timeout=5, body={"password": "x"})
        assert served.asked == []


def test_insecure_skip_verify_trusts_anything() -> None:
    assert ask(trustme.CA().issue_cert("other"), None, insecure_skip_verify=True) == 200


@pytest.mark.parametrize("names", [("127.0.0.1",), ("argocd-server",)])
def test_the_servers_own_certificate_is_trusted_whatever_its_names_are(names: tuple[str, ...]) -> None:
    cert = trustme.CA().issue_cert(*names)
    assert ask(cert, pem_of(cert)) == 200


def test_the_servers_own_certificate_is_found_among_others() -> None:
    assert ask(ELSEWHERE, f"# a bundle\n{PEM}\n{pem_of(HERE)}\n{pem_of(ELSEWHERE)}") == 200


def test_a_pinned_server_is_asked_over_one_connection() -> None:
    with serving(cert=ELSEWHERE) as served, transport(served.url, ca=pem_of(ELSEWHERE)) as sender:
        for _ in range(3):
            sender.send("GET", "/api/version", timeout=5)
        assert len({asked.peer for asked in served.asked}) == 1


def test_nothing_is_sent_to_a_server_with_other_names() -> None:
    with serving(cert=ELSEWHERE) as served, transport(served.url, ca=f"{PEM}{pem_of(HERE)}") as sender:
        with pytest.raises(WrongServerError, match="is for other host names"):
            sender.send("POST", "/api/v1/session", timeout=5, body={"password": "x"})
        assert served.asked == []


def test_other_names_are_told() -> None:
    wrong = refusal(ELSEWHERE)
    assert wrong.problem.endswith(" is for other host names: argocd-server, argocd-server.argocd.svc, 10.0.0.7.")
    assert wrong.remedy == (
        f"Name this certificate itself in {PATH}.caSecretKeyRef, so that it is trusted whatever its names are (stock"
        f" Argo CD: Secret argocd-secret, key tls.crt); or set {PATH}.url (or .svc) to one of its names; or have one"
        " issued for this name."
    )


def test_a_renewed_certificate_is_recognized_by_its_name_again() -> None:
    """A transport that pinned a certificate meets one with the right names, and the other way round."""
    context = server_context(ELSEWHERE)
    with serving(context=context) as served, transport(served.url, ca=f"{PEM}{pem_of(ELSEWHERE)}") as sender:

        def ask_again() -> int:
            sender.close()
            return sender.send("GET", "/api/version", timeout=5).status

        def show(cert: trustme.LeafCert) -> None:
            served_context = server_context(cert)
            context.sni_callback = lambda connection, *_: setattr(connection, "context", served_context)

        assert ask_again() == 200
        assert sender._pinned
        show(HERE)
        assert ask_again() == 200
        assert not sender._pinned
        show(ELSEWHERE)
        assert ask_again() == 200
        show(CA.issue_cert("third.example"))
        with pytest.raises(WrongServerError, match=r"other host names: third\.example"):
            ask_again()
        show(HERE)
        assert ask_again() == 200


def test_the_common_name_is_told_when_there_is_no_other() -> None:
    class Peer:
        def getpeercert(self, der: bool, /) -> object:
            return b"x" if der else {"subject": ((("organizationName", "x"),), (("commonName", "old\x1b[1m.example"),))}

    with pytest.raises(tls.UnknownLeafError) as unknown:
        tls.require_pinned(Peer(), frozenset({b"y"}))
    assert unknown.value.names == ("old[1m.example",)
    tls.require_pinned(Peer(), frozenset({b"x"}))


def test_a_peer_without_a_certificate_has_no_names() -> None:
    class Peer:
        def getpeercert(self, der: bool, /) -> object:
            return None

    with pytest.raises(tls.UnknownLeafError) as unknown:
        tls.require_pinned(Peer(), frozenset())
    assert unknown.value.names == ()


def test_ten_names_are_told_at_most() -> None:
    names = [f"n{i}.example" for i in range(12)]
    assert refusal(CA.issue_cert(*names)).problem.endswith(f": {', '.join(names[:10])}.")


def test_a_certificate_without_names_is_told_as_one() -> None:
    assert handshake.explain(tls.UnknownLeafError(()), Endpoint("https://a")).problem == (
        "The certificate of https://a is for another host name."
    )


@pytest.mark.parametrize(
    ("cert", "when"),
    [
        (CA.issue_cert("127.0.0.1", not_before=PAST, not_after=PAST + DAY), "has expired."),
        (CA.issue_cert("127.0.0.1", not_before=FUTURE, not_after=FUTURE + DAY), "is not valid yet."),
    ],
)
def test_a_certificate_out_of_its_time_is_told(cert: trustme.LeafCert, when: str) -> None:
    wrong = refusal(cert)
    assert wrong.problem.startswith("The certificate of https://127.0.0.1:")
    assert wrong.problem.endswith(when)
    assert wrong.remedy == (
        "Renew it (stock Argo CD: delete tls.crt and tls.key from Secret argocd-secret and restart argocd-server), or"
        " correct the clocks."
    )


def test_a_pinned_certificate_must_be_in_its_time_too() -> None:
    cert = CA.issue_cert("other", not_before=PAST, not_after=PAST + DAY)
    assert refusal(cert, pem_of(cert)).problem.endswith("has expired.")


@pytest.mark.parametrize(
    ("ca", "origin", "words"),
    [
        (PEM, ORIGIN, f"(it is neither in {ORIGIN} nor signed by what is)."),
        (PEM, "", "(it is neither in the given CA nor signed by what is)."),
        (None, ORIGIN, f"({ORIGIN} does not exist, or is empty)."),
        (None, "", f"({PATH}.caSecretKeyRef is not set)."),
        (" \n", ORIGIN, f"({ORIGIN} does not exist, or is empty)."),
    ],
)
def test_an_unknown_ca_is_told_with_what_was_given(ca: str | None, origin: str, words: str) -> None:
    wrong = refusal(trustme.CA().issue_cert("127.0.0.1"), ca, ca_origin=origin)
    assert wrong.problem.startswith("The certificate of https://127.0.0.1:")
    assert wrong.problem.endswith(f" is not signed by a known CA {words}")
    assert wrong.remedy == (
        f"Copy Argo CD's certificate into this namespace and name it in {PATH}.caSecretKeyRef (stock Argo CD: Secret"
        f" argocd-secret, key tls.crt), or set {PATH}.insecureSkipVerify=true for a test."
    )
    assert wrong.exit_code == 78


def test_remedies_name_the_users_own_spelling() -> None:
    wrong = refusal(trustme.CA().issue_cert("127.0.0.1"), None, values_path="global.integrations.argo-cd.server")
    assert "global.integrations.argo-cd.server.caSecretKeyRef" in wrong.problem
    assert "global.external" not in wrong.problem + wrong.remedy


def verification(code: int, message: str = "unsuitable certificate purpose") -> WrongServerError:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, message
    return handshake.explain(error, Endpoint("https://a"))


@pytest.mark.parametrize("code", [2, 18, 19, 20, 21])
def test_each_of_openssls_codes_for_an_unknown_issuer_is_one(code: int) -> None:
    assert verification(code).problem.startswith("The certificate of https://a is not signed by a known CA (")


@pytest.mark.parametrize("code", [62, 64])
def test_each_of_openssls_codes_for_wrong_names_is_one(code: int) -> None:
    assert verification(code).problem == "The certificate of https://a is for another host name."


@pytest.mark.parametrize("code", [1, 3, 8, 17, 22, 23, 26, 61, 63, 65])
def test_another_failure_of_the_certificate_is_told_in_openssls_words(code: int) -> None:
    wrong = verification(code)
    assert wrong.problem == "The certificate of https://a can't be trusted (unsuitable certificate purpose)."
    assert wrong.remedy == "Have one issued for a TLS server, or correct its chain."


def test_plain_http_behind_an_https_address_is_told() -> None:
    with serving() as served, transport(served.url.replace("http:", "https:"), ca=PEM) as sender:
        with pytest.raises(WrongServerError) as wrong:
            sender.send("GET", "/", timeout=5)
        assert "does not speak TLS as expected (" in wrong.value.problem
        assert wrong.value.remedy == (
            f"If Argo CD runs with server.insecure, use its HTTP port ({PATH}.port=80), or an address with http:// in"
            f" {PATH}.url."
        )


@pytest.mark.parametrize(
    "ca", ["x", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----", "ä" * 10]
)
def test_a_ca_that_is_no_certificate_is_a_mistake_in_the_settings(ca: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        tls.context(Endpoint("https://x", ca=ca, ca_origin=ORIGIN))
    assert wrong.value.problem == f"{ORIGIN} does not hold a PEM certificate."
    assert wrong.value.remedy == (
        f"Point {PATH}.caSecretKeyRef (or caConfigMapKeyRef) at a key that holds one (tls.crt or ca.crt)."
    )
    with pytest.raises(ConfigurationError, match=r"^The CA file does not hold a PEM certificate"):
        tls.context(Endpoint("https://x", ca=ca))


def test_the_trust_is_the_same_with_every_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13 sets both flags by itself, of which Argo CD's own certificate does not pass the first."""
    create, wanted = ssl.create_default_context, ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN

    def newer() -> ssl.SSLContext:
        made = create()
        made.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return made

    for maker in (create, newer):
        monkeypatch.setattr(ssl, "create_default_context", maker)
        context = tls.context(Endpoint("https://x"))
        assert context.verify_flags == wanted
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
        unnamed = tls.context(Endpoint("https://x"), check_names=False)
        assert (unnamed.check_hostname, unnamed.verify_mode) == (False, ssl.CERT_REQUIRED)


def test_no_password_of_a_client_certificate_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, OpenSSL asks the terminal."""
    given: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda *_, **how: given.append(how))
    tls.context(Endpoint("https://x", client_cert=Path("/c")))
    assert given == [{"password": ""}]


def test_a_ca_matters_nothing_where_anything_is_trusted() -> None:
    assert tls.context(Endpoint("https://x", ca="x", insecure_skip_verify=True)).verify_mode == ssl.CERT_NONE


def test_public_cas_come_from_certifi_only_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import certifi

    loaded: list[str] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *a, **k: loaded.append(a[1]))
    monkeypatch.setattr(ssl.SSLContext, "cert_store_stats", lambda *_: {"x509_ca": 0})
    monkeypatch.setattr(tls, "_reads_when_needed", lambda: False)
    tls.context(Endpoint("https://x"))
    assert loaded == [certifi.where()]
    monkeypatch.setattr(tls, "_reads_when_needed", lambda: True)
    tls.context(Endpoint("https://x"))
    monkeypatch.setattr(ssl.SSLContext, "cert_store_stats", lambda *_: {"x509_ca": 1})
    monkeypatch.setattr(tls, "_reads_when_needed", lambda: False)
    tls.context(Endpoint("https://x"))
    assert len(loaded) == 1


def test_a_folder_of_hashed_cas_is_read_when_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert not tls._reads_when_needed()
    (tmp_path / "a.pem").touch()
    assert not tls._reads_when_needed()
    (tmp_path / "1d3472b9.0").touch()
    assert tls._reads_when_needed()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "missing"))
    assert not tls._reads_when_needed()


CLIENT_CA = trustme.CA()


def wanting(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A server that wants a client certificate of CLIENT_CA."""
    context = server_context(HERE)
    CLIENT_CA.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    return context


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_certificate_is_shown(version: ssl.TLSVersion, tmp_path: Path) -> None:
    folder = client_files(CLIENT_CA.issue_cert("client"), tmp_path)
    with serving(context=wanting(version)) as served, transport(served.url, ca=PEM, client_cert=folder) as sender:
        assert sender.send("GET", "/api/version", timeout=5).status == 200


def test_a_client_certificate_is_shown_where_anything_is_trusted(tmp_path: Path) -> None:
    folder = client_files(CLIENT_CA.issue_cert("client"), tmp_path)
    with (
        serving(context=wanting(VERSIONS[1])) as served,
        transport(served.url, insecure_skip_verify=True, client_cert=folder) as sender,
    ):
        assert sender.send("GET", "/api/version", timeout=5).status == 200


def test_a_renewed_client_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    folder = client_files(trustme.CA().issue_cert("client"), tmp_path)
    with serving(context=wanting(VERSIONS[0])) as served, transport(served.url, ca=PEM, client_cert=folder) as sender:
        with pytest.raises(WrongServerError, match="refuses the client certificate"):
            sender.send("GET", "/api/version", timeout=5)
        client_files(CLIENT_CA.issue_cert("client"), tmp_path)
        assert sender.send("GET", "/api/version", timeout=5).status == 200


def test_a_connection_is_kept_while_the_client_certificate_stays(tmp_path: Path) -> None:
    folder = client_files(CLIENT_CA.issue_cert("client"), tmp_path)
    with serving(context=wanting(VERSIONS[1])) as served, transport(served.url, ca=PEM, client_cert=folder) as sender:
        for _ in range(2):
            sender.send("GET", "/api/version", timeout=5)
        assert len({asked.peer for asked in served.asked}) == 1


def reason(name: str, client_cert: Path | None = None, problem_of: str = "https://a") -> WrongServerError:
    error = ssl.SSLError(1, f"[SSL: {name}] alert")
    error.reason = name
    return handshake.explain(error, Endpoint(problem_of, client_cert=client_cert))


@pytest.mark.parametrize(
    ("name", "shown", "problem"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", False, "wants a client certificate."),
        ("SSLV3_ALERT_BAD_CERTIFICATE", False, "wants a client certificate."),
        ("sslv3 alert bad certificate", False, "wants a client certificate."),
        ("SSLV3_ALERT_BAD_CERTIFICATE", True, "refuses the client certificate (SSLV3_ALERT_BAD_CERTIFICATE)."),
        (
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            True,
            "refuses the client certificate (TLSV13_ALERT_CERTIFICATE_REQUIRED).",
        ),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", True, "refuses the client certificate (SSLV3_ALERT_CERTIFICATE_EXPIRED)."),
        ("TLSV1_ALERT_UNKNOWN_CA", True, "refuses the client certificate (TLSV1_ALERT_UNKNOWN_CA)."),
        ("TLSV1_ALERT_ACCESS_DENIED", True, "refuses the client certificate (TLSV1_ALERT_ACCESS_DENIED)."),
        ("TLSV1_ALERT_UNKNOWN_CA", False, "refuses the TLS handshake (TLSV1_ALERT_UNKNOWN_CA)."),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", False, "refuses the TLS handshake (SSLV3_ALERT_HANDSHAKE_FAILURE)."),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", True, "refuses the TLS handshake (SSLV3_ALERT_HANDSHAKE_FAILURE)."),
        ("TLSV1_UNRECOGNIZED_NAME", False, "refuses the TLS handshake (TLSV1_UNRECOGNIZED_NAME)."),
        ("WRONG_VERSION_NUMBER", False, "does not speak TLS as expected (WRONG_VERSION_NUMBER)."),
        ("", False, "does not speak TLS as expected (handshake failed)."),
    ],
)
def test_each_alert_is_told(name: str, shown: bool, problem: str) -> None:
    wrong = reason(name, Path("/x") if shown else None)
    assert wrong.problem == f"https://a {problem}"
    if problem.startswith("wants"):
        assert wrong.remedy == (
            f"Put one into a Secret of type kubernetes.io/tls and name it in {PATH}.clientCertSecretRef, or set"
            f" {PATH}.svc to Argo CD's own Service."
        )
    elif "client certificate" in problem:
        assert wrong.remedy == f"Put one that the server accepts into the Secret that {PATH}.clientCertSecretRef names."
    elif "handshake (" in problem:
        assert wrong.remedy == (
            "It may want a client certificate, not know this host name, or speak other versions of TLS: see its log,"
            f" and correct {PATH}.url or {PATH}.clientCertSecretRef."
        )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_wants_a_client_certificate_is_told_from_one_without_tls(version: ssl.TLSVersion) -> None:
    problems = set()
    with serving(context=wanting(version)) as served, transport(served.url, ca=PEM) as sender:
        for _ in range(20):  # TLS 1.3: the alert may be lost when the server closes first; then it is asked again
            try:
                sender.send("GET", "/api/version", timeout=5)
            except UnreachableError:
                continue
            except WrongServerError as e:
                problems.add(e.problem.removeprefix(served.url))
                break
    # OpenSSL's servers say "handshake failure" in TLS 1.2, Go's "bad certificate".
    old = version is ssl.TLSVersion.TLSv1_2
    assert problems == {
        " refuses the TLS handshake (SSLV3_ALERT_HANDSHAKE_FAILURE)." if old else " wants a client certificate."
    }


def encrypted(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((folder / "tls.key").read_bytes(), None)
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "tls.key").unlink(),
        lambda folder: (folder / "tls.crt").unlink(),
        lambda folder: (folder / "tls.crt").write_text("x"),
        lambda folder: (folder / "tls.key").write_text("x"),
        lambda folder: CA.issue_cert("x").private_key_pem.write_to_path(str(folder / "tls.key")),
        encrypted,
    ],
)
def test_a_client_certificate_that_cannot_be_used_is_told(spoil: object, tmp_path: Path) -> None:
    folder = client_files(CLIENT_CA.issue_cert("client"), tmp_path)
    assert callable(spoil)
    spoil(folder)
    with pytest.raises(ConfigurationError) as wrong:
        tls.context(Endpoint("https://a", client_cert=folder))
    assert wrong.value.problem == (
        "The client certificate can't be used: its tls.crt and tls.key are not there, are no PEM, do not belong"
        " together, or the key is encrypted."
    )
    assert wrong.value.remedy == f"Point {PATH}.clientCertSecretRef at a Secret of type kubernetes.io/tls."


@contextmanager
def hanging_up(data: bytes = b"") -> Iterator[str]:
    """A server that accepts a connection, reads something, says ``data`` and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(data)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(5)
        listener.close()


def test_a_connection_that_ends_in_its_handshake_heals() -> None:
    with hanging_up() as url, transport(url, ca=PEM) as sender:
        with pytest.raises(UnreachableError) as lost:
            sender.send("GET", "/", timeout=5)
        assert not lost.value.sent


def test_a_server_that_refuses_the_name_is_told() -> None:
    with (
        hanging_up(b"\x15\x03\x03\x00\x02\x02\x70") as url,
        transport(url, ca=PEM) as sender,
        pytest.raises(WrongServerError, match=r"refuses the TLS handshake \(TLSV1_UNRECOGNIZED_NAME\)"),
    ):
        sender.send("GET", "/", timeout=5)


def test_pages_about_certificates_are_told_apart() -> None:
    for text, problem, value in [
        ("<html>400 No required SSL certificate was sent", "wants a client certificate", "clientCertSecretRef"),
        ("<html>400 The SSL certificate error", "wants a client certificate", "clientCertSecretRef"),
        ("Client sent an HTTP request to an HTTPS server.\n", "speaks TLS at this port", "url"),
        ("<html>The plain HTTP request was sent to HTTPS port", "speaks TLS at this port", "url"),
    ]:
        with serving(Reply(400, text=text)) as served, transport(served.url) as sender:
            with pytest.raises(WrongServerError) as wrong:
                sender.send("GET", "/", timeout=5)
            assert wrong.value.problem == f"{served.url} {problem} (HTTP 400)."
            assert wrong.value.remedy == f"Correct {PATH}.{value}, or set {PATH}.svc to Argo CD's own Service."
