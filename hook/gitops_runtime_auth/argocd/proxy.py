"""Chooses the proxy for an address by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as Go programs do.

Argo CD's own command line and most programs around Kubernetes use Go's ``golang.org/x/net/http/httpproxy``, so the
same variables have the same effect here. Python's HTTP clients ignore networks in NO_PROXY, or fail at an IPv6 address.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from gitops_runtime_auth.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}
_ENTRY = r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>(?:\*\.|\.)?[^\s:/*\[\]]+))(?::(?P<port>[0-9]{1,5}))?"


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy."""

    url: str
    """Scheme, host and port, without the credentials that may be in the variable."""
    auth: tuple[str, str] | None = field(default=None, repr=False)
    """User name and password."""


def proxy_for(url: str, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy for requests to ``url``, None if they are sent directly.

    A variable's lower-case name counts before its upper-case one, as in curl. Addresses of this machine itself are
    always reached directly. Raises ConfigurationError for a variable that can't be read.
    """
    environ = os.environ if environ is None else environ
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    name, value = _variable(environ, f"{parts.scheme}_proxy", "all_proxy")
    if not value or host == "localhost" or _is_loopback(host):
        return None
    bypass, entries = _variable(environ, "no_proxy")
    # All are read, so that a malformed one is reported whatever its place.
    covers = [_covers(bypass, entry, host, port) for entry in re.split(r"[,\s]+", entries.lower()) if entry]
    return None if any(covers) else _proxy(name, value)


def _variable(environ: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return name and value of the first variable that is not empty."""
    for name in names:
        for spelling in (name, name.upper()):
            if environ.get(spelling, "").strip():
                return spelling, environ[spelling].strip()
    return "", ""


def _proxy(name: str, value: str) -> Proxy:
    """Parse a proxy's URL, which may lack the scheme. Raises ConfigurationError, which does not show the URL."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, brackets that do not close
        host = port = None
    if not host or parts.scheme not in _PORTS:
        raise ConfigurationError(
            f"The variable {name} does not hold the URL of an HTTP proxy.",
            "Write it as http://proxy.example.com:3128 (in the chart: proxy.httpProxy, proxy.httpsProxy).",
        )
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    shown = f"[{host}]" if ":" in host else host
    return Proxy(f"{parts.scheme}://{shown}:{port or _PORTS[parts.scheme]}", auth)


def _covers(variable: str, entry: str, host: str, port: int) -> bool:
    """Tell whether one entry of NO_PROXY covers ``host``. Raises ConfigurationError for a malformed entry.

    ``example.com`` covers itself and its subdomains, ``.example.com`` and ``*.example.com`` only the subdomains.
    """
    if entry == "*":
        return True
    if "/" in entry:
        return _is_in(variable, entry, host)
    name, wanted = _split(variable, entry)
    if wanted not in ("", str(port)):
        return False
    address = _address(name)
    if address is not None:
        return address == _address(host)
    if _address(host) is not None:
        return False
    domain = name.removeprefix("*").lstrip(".")
    below = host.endswith(f".{domain}")
    return below if name.startswith(("*", ".")) else below or host == domain


def _split(variable: str, entry: str) -> tuple[str, str]:
    """Split an entry into host and port. An IPv6 address can have a port only if it is in brackets."""
    if _address(entry) is not None:
        return entry, ""
    found = re.fullmatch(_ENTRY, entry)
    if found is None or (found["v6"] and _address(found["v6"]) is None):
        raise _malformed(variable, entry)
    return found["v6"] or found["name"], found["port"] or ""


def _is_in(variable: str, entry: str, host: str) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        raise _malformed(variable, entry) from None
    address = _address(host)
    return address is not None and address in network


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _malformed(variable: str, entry: str) -> ConfigurationError:
    return ConfigurationError(
        f'The variable {variable} holds "{entry.rpartition("@")[2]}", which is no host name, address or network.',
        "Write hosts (example.com, .svc, *.svc), addresses (10.0.0.1, [::1]) and networks (10.0.0.0/8, fd00::/8) with"
        " commas in between (in the chart: proxy.noProxy).",
    )
