"""Certificate authorities for the fakes, made once per process: each server has one of its own."""

import ssl
from dataclasses import dataclass
from functools import cache

import trustme

NAMES = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Authority:
    """A CA, and what a server of the loopback needs to be trusted by whoever trusts it."""

    pem: str
    tls: ssl.SSLContext
    leaf: str
    """The server's own certificate (PEM)."""


@cache
def authority(of: str) -> Authority:
    """Return the authority of that name."""
    ca = trustme.CA(organization_name=of)
    leaf = ca.issue_cert(*NAMES)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(tls)
    tls.num_tickets = 0  # no client resumes a session
    return Authority(ca.cert_pem.bytes().decode(), tls, leaf.cert_chain_pems[0].bytes().decode())
