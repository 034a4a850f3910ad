"""Which proxy leads to an address. The cases of NO_PROXY are those of Go's ``httpproxy``, where it has any."""

import pytest

from gitops_runtime_auth.argocd.proxy import Proxy, proxy_for
from gitops_runtime_auth.errors import ConfigurationError

URL = "https://argocd-server.argocd.svc"
P = "http://proxy:3128"


@pytest.mark.parametrize(
    ("environ", "used"),
    [
        ({}, None),
        ({"HTTPS_PROXY": P}, P),
        ({"https_proxy": P}, P),
        ({"https_proxy": P, "HTTPS_PROXY": "http://other:1"}, P),
        ({"https_proxy": " ", "HTTPS_PROXY": P}, P),
        ({"ALL_PROXY": P}, P),
        ({"all_proxy": P}, P),
        ({"ALL_PROXY": "http://other:1", "HTTPS_PROXY": P}, P),
        ({"HTTP_PROXY": P}, None),
        ({"HTTPS_PROXY": "  "}, None),
    ],
)
def test_the_variable_of_the_scheme_counts(environ: dict[str, str], used: str | None) -> None:
    found = proxy_for(URL, environ)
    assert (found.url if found else None) == used


def test_plain_http_has_a_variable_of_its_own() -> None:
    environ = {"HTTP_PROXY": P, "HTTPS_PROXY": "http://other:1"}
    assert proxy_for("http://argocd", environ) == Proxy(P)


def test_the_processs_own_environment_counts_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", P)
    assert proxy_for(URL) == Proxy(P)


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("proxy:3128", Proxy("http://proxy:3128")),
        ("http://proxy", Proxy("http://proxy:80")),
        ("https://proxy", Proxy("https://proxy:443")),
        ("http://[fd00::1]:3128/", Proxy("http://[fd00::1]:3128")),
        ("http://us%40er:p%3Aw@proxy:3128", Proxy("http://proxy:3128", ("us@er", "p:w"))),
        ("http://user@proxy:3128", Proxy("http://proxy:3128", ("user", ""))),
    ],
)
def test_the_proxys_url_is_read(value: str, proxy: Proxy) -> None:
    assert proxy_for(URL, {"HTTPS_PROXY": value}) == proxy


def test_equal_proxies_are_one() -> None:
    assert len({Proxy(P, ("a", "b")), Proxy(P, ("a", "b")), Proxy(P)}) == 2


def test_a_proxys_credentials_are_not_shown() -> None:
    assert "canary" not in repr(proxy_for(URL, {"HTTPS_PROXY": "http://me-canary:canary@proxy:1"}))


@pytest.mark.parametrize(
    "value", ["socks5://canary@proxy:1080", "http://canary@", "http://canary:9:9", "http://[canary"]
)
def test_a_proxy_that_cannot_be_used_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        proxy_for(URL, {"HTTPS_PROXY": value})
    assert refused.value.problem == "The variable HTTPS_PROXY does not hold the URL of an HTTP proxy."
    assert refused.value.remedy == (
        "Write it as http://proxy.example.com:3128 (in the chart: proxy.httpProxy, proxy.httpsProxy)."
    )


DIRECT = [
    ("https://argocd-server.argocd.svc", "*"),
    ("https://argocd-server.argocd.svc", ".svc"),
    ("https://argocd-server.argocd.svc", "*.svc"),
    ("https://argocd-server.argocd.svc", "svc"),
    ("https://argocd-server.argocd.svc", "argocd-server.argocd.svc"),
    ("https://argocd-server.argocd.svc", "ARGOCD.SVC"),
    ("https://ARGOCD-server.argocd.svc", "argocd.svc"),
    ("https://argocd-server.argocd.svc", "x, .svc ,y"),
    ("https://argocd-server.argocd.svc", "x .svc"),
    ("https://argocd-server.argocd.svc", "x,,.svc"),
    ("https://argocd-server.argocd.svc", ".svc:443"),
    ("https://argocd-server.argocd.svc:8443", "*.svc:8443"),
    ("http://argocd-server.argocd.svc", "argocd.svc:80"),
    ("https://10.1.2.3", "10.1.2.3"),
    ("https://10.1.2.3", "10.1.2.3:443"),
    ("https://10.1.2.3", "10.0.0.0/8"),
    ("https://10.1.2.3", "10.1.2.3/16"),
    ("https://[fd00::5]", "fd00::/8"),
    ("https://[fd00::5]", "fd00::5"),
    ("https://[fd00::5]", "[fd00::5]"),
    ("https://[fd00::5]:8443", "[fd00::5]:8443"),
    ("https://[FD00::5]", "fd00:0::5"),
    ("https://[::1]", "x"),
    ("https://127.0.0.1:8080", "x"),
    ("https://127.9.9.9", ""),
    ("https://localhost", ""),
    ("https://LOCALHOST:1", ""),
]
PROXIED = [
    ("https://argocd-server.argocd.svc", ""),
    ("https://argocd-server", ".svc"),
    ("https://svc", ".svc"),
    ("https://svc", "*.svc"),
    ("https://xsvc", "svc"),
    ("https://argocd.svc.example", ".svc"),
    ("https://argocd-server.argocd.svc", ".svc:8443"),
    ("https://argocd-server.argocd.svc", "svc:80"),
    ("https://argocd-server.argocd.svc", "10.0.0.0/8"),
    ("https://argocd-server.argocd.svc", "10.0.0.1"),
    ("https://argocd-server.argocd.svc", "[fd00::5]"),
    ("https://11.1.2.3", "10.0.0.0/8"),
    ("https://10.1.2.3", "fd00::/8"),
    ("https://[fd00::5]", "10.0.0.0/8"),
    ("https://[fd00::5]:8443", "[fd00::5]:443"),
    ("https://10.1.2.3", "10.1.2.4"),
    ("https://10.1.2.3", "10.1.2.3:80"),
    ("https://10.1.2.3", ".3"),
    ("https://10.1.2.3", "2.3"),
    ("https://argocd", "localhost"),
    ("https://argocd", "127.0.0.1"),
]


@pytest.mark.parametrize(("url", "no_proxy"), DIRECT)
def test_what_no_proxy_covers_is_reached_directly(url: str, no_proxy: str) -> None:
    assert proxy_for(url, {"ALL_PROXY": P, "NO_PROXY": no_proxy}) is None


@pytest.mark.parametrize(("url", "no_proxy"), PROXIED)
def test_what_no_proxy_does_not_cover_goes_through_the_proxy(url: str, no_proxy: str) -> None:
    assert proxy_for(url, {"ALL_PROXY": P, "NO_PROXY": no_proxy}) == Proxy(P)


def test_the_lower_case_name_counts_first() -> None:
    assert proxy_for(URL, {"https_proxy": P, "no_proxy": "other", "NO_PROXY": "*"}) == Proxy(P)


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.0/99",
        "http://argocd",
        "argo*cd",
        "**",
        "*svc",
        "[fd00::5",
        "[x]",
        "a:b:c",
        "a:x",
        ":80",
        "10.0.0.1/8/8",
        "a:123456",
    ],
)
def test_an_entry_that_covers_nothing_is_refused_in_words(entry: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        proxy_for(URL, {"HTTPS_PROXY": P, "no_proxy": f"*,{entry}"})
    assert refused.value.problem == f'The variable no_proxy holds "{entry}", which is no host name, address or network.'
    assert refused.value.remedy == (
        "Write hosts (example.com, .svc, *.svc), addresses (10.0.0.1, [::1]) and networks (10.0.0.0/8, fd00::/8) with"
        " commas in between (in the chart: proxy.noProxy)."
    )


def test_a_refused_entry_shows_no_password() -> None:
    with pytest.raises(ConfigurationError) as refused:
        proxy_for(URL, {"HTTPS_PROXY": P, "NO_PROXY": "http://me:canary@proxy/"})
    assert '"proxy/"' in refused.value.problem
    assert "canary" not in refused.value.problem


def test_without_a_proxy_no_entry_matters() -> None:
    assert proxy_for(URL, {"NO_PROXY": "10.0.0.0/99"}) is None
