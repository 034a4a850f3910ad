"""TLS handshakes with a server on the loopback: what is trusted, and each failure's own sentences."""

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from gitops_runtime_auth.argocd import tls
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.config.settings import SecretRef, Server
from gitops_runtime_auth.errors import AuthError, ConfigurationError, TemporaryError, UnreachableError, WrongServerError

CA = trustme.CA()
PEM = CA.cert_pem.bytes().decode()
REF = SecretRef("argocd-secret", "tls.crt")


@contextmanager
def serving(cert: trustme.LeafCert | None) -> Iterator[int]:
    """A server that answers {} to one request; without ``cert`` it speaks plain HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        raw, _ = listener.accept()
        try:
            connection = raw
            if cert:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                cert.configure_cert(context)
                connection = context.wrap_socket(raw, server_side=True)
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            connection.close()
        except OSError:
            raw.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(5)
        listener.close()


def ask(cert: trustme.LeafCert | None, ca: str | None = PEM, *, skip: bool = False, ref: SecretRef | None = REF) -> int:
    with serving(cert) as port:
        transport = Transport(Server(f"https://127.0.0.1:{port}", skip, ref), ca)
        try:
            return transport.send("GET", "/api/version", timeout=5).status
        finally:
            transport.close()


def test_a_certificate_of_the_given_ca_is_trusted() -> None:
    assert ask(CA.issue_cert("127.0.0.1")) == 200


def test_a_server_certificate_given_in_the_cas_place_is_trusted() -> None:
    cert = CA.issue_cert("127.0.0.1")
    assert ask(cert, cert.cert_chain_pems[0].bytes().decode()) == 200


def test_insecure_skip_verify_trusts_anything() -> None:
    assert ask(trustme.CA().issue_cert("other"), None, skip=True) == 200


PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("cert", "ca", "words"),
    [
        (CA.issue_cert("other.example"), PEM, "for another host name"),
        (CA.issue_cert("127.0.0.1", not_before=PAST, not_after=PAST + datetime.timedelta(1)), PEM, "has expired"),
        (trustme.CA().issue_cert("127.0.0.1"), PEM, "does not vouch for it"),
        (trustme.CA().issue_cert("127.0.0.1"), None, "is not there"),
    ],
)
def test_each_bad_certificate_is_explained(cert: trustme.LeafCert, ca: str | None, words: str) -> None:
    with pytest.raises(WrongServerError) as wrong:
        ask(cert, ca)
    assert words in wrong.value.problem
    assert wrong.value.exit_code == 78


def test_plain_http_behind_an_https_address_is_explained() -> None:
    with pytest.raises(WrongServerError, match="does not speak TLS"):
        ask(None)


def test_nobody_there_heals() -> None:
    with pytest.raises(UnreachableError) as nobody:
        Transport(Server("https://127.0.0.1:1")).send("GET", "/", timeout=1)
    assert not nobody.value.sent


@pytest.mark.parametrize(
    "ca", ["x", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----", "ä" * 10]
)
def test_a_ca_that_is_no_certificate_is_a_mistake_in_the_settings(ca: str) -> None:
    with pytest.raises(ConfigurationError, match="does not hold a PEM certificate"):
        tls.context(Server("https://x", ca_ref=REF), ca)


def test_errors_stand_apart() -> None:
    assert issubclass(WrongServerError, AuthError)
    assert not issubclass(WrongServerError, TemporaryError)
