"""To whom the password goes, with the real Argo CD behind: only to whom the chart named, and whose certificate fits."""

import datetime
import hashlib
import ssl
import subprocess
from collections.abc import Callable

import pytest
import trustme

from tests.faults.place import Site
from tests.faults.release import Release
from tests.faults.traffic import is_connection

PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
CONFIGURATION = 78
Issue = Callable[[trustme.CA], trustme.LeafCert]


def run(site: Site, release: Release, cert: trustme.LeafCert, **environ: str) -> tuple[int, str, list[str]]:
    """Run the hook against an Argo CD with ``cert``; return its exit code, its words, and the requests that came."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(tls)
    release.between = site.between(tls)
    traffic = release.between.begin()
    process = release.start(**environ)
    said, _ = process.communicate(timeout=60)
    asked = [step for step in traffic.seen if step.startswith("argocd ") and not is_connection(step)]
    return process.returncode, said, asked


@pytest.mark.parametrize(
    ("issue", "words"),
    [
        (lambda ca: ca.issue_cert("127.0.0.1", not_before=PAST, not_after=PAST + datetime.timedelta(1)), "has expired"),
        (lambda ca: ca.issue_cert("argocd.example.com"), "argocd.example.com"),
        (lambda _: trustme.CA().issue_cert("127.0.0.1"), "is not signed by a known CA"),
    ],
    ids=["expired", "another name", "unknown issuer"],
)
def test_a_certificate_that_is_no_good_is_explained(
    site: Site, release: Callable[[], Release], issue: Issue, words: str
) -> None:
    one = release()
    code, said, asked = run(site, one, issue(site.authority))
    assert code == CONFIGURATION
    assert words in said
    assert asked == [], "nothing is sent before the certificate is trusted"
    assert one.secret() is None


def test_a_server_s_own_certificate_is_pinned_whatever_its_names(site: Site, release: Callable[[], Release]) -> None:
    """A stock Argo CD's certificate names ``argocd-server`` only, under whatever name its Service is reached."""
    one, own = release(), trustme.CA().issue_cert("argocd-server")
    (one.folder / "ca" / "ca.crt").write_bytes(own.cert_chain_pems[0].bytes())
    code, said, _ = run(site, one, own)
    assert code == 0, said
    assert one.holds_a_good_key()


def test_a_public_ca_needs_no_setting(site: Site, release: Callable[[], Release]) -> None:
    """``SSL_CERT_DIR`` is where the image has the public CAs, ``SSL_CERT_FILE`` what people set."""
    one, public = release(), trustme.CA()
    (one.folder / "ca" / "ca.crt").unlink()
    code, said, _ = run(site, one, public.issue_cert("127.0.0.1"))
    assert code == CONFIGURATION
    assert "is not signed by a known CA" in said
    store = one.folder / "public"
    store.mkdir()
    (store / "ca.pem").write_bytes(public.cert_pem.bytes())
    subprocess.run(["openssl", "rehash", store], check=True)
    for name, place in (("SSL_CERT_DIR", store), ("SSL_CERT_FILE", store / "ca.pem")):
        code, said, _ = run(site, one, public.issue_cert("127.0.0.1"), **{name: str(place)})
        assert code == 0, said
        assert one.holds_a_good_key()


def test_settings_that_somebody_edited_send_the_password_nowhere(site: Site, release: Callable[[], Release]) -> None:
    """Whoever may edit the ConfigMap does not choose the server: the Pod's own spec says which settings are meant."""
    one = release()
    edited = {"SETTINGS_SHA256": hashlib.sha256(b"the settings of before").hexdigest()}
    code, said, asked = run(site, one, site.authority.issue_cert("127.0.0.1"), **edited)
    assert code == CONFIGURATION
    assert "nothing was sent anywhere" in said
    assert asked == []


def test_a_proxy_that_asks_for_a_header_gets_it_from_its_secret(release: Callable[[], Release]) -> None:
    one, header = release(), "canary-of-the-identity-aware-proxy"
    one.between.argocd.asks_for = ("X-Access-Token", header)
    without = one.run()
    assert (without.code, without.traffic.logins) == (CONFIGURATION, []), (
        "no password before it is Argo CD that answers"
    )
    one.values = {"global": {"external-arg-cd": {"server": {"headersSecretRef": {"name": "mine-too"}}}}}
    (one.folder / "headers" / "X-Access-Token").write_text(f"{header}\n")
    done = one.run()
    assert done.code == 0, done.said
    assert one.holds_a_good_key()
    assert header not in done.said
