"""An address shows no credential, and two equal ones are one."""

from pathlib import Path
from typing import Any

from gitops_runtime_auth.argocd.endpoint import Endpoint


def test_its_repr_shows_no_header_and_no_certificate() -> None:
    shown = repr(Endpoint("https://a", ca="PEM-canary", headers=(("X", "canary"),), ca_origin="there"))
    assert "canary" not in shown
    assert "https://a" in shown
    assert "there" in shown


def test_equal_endpoints_are_one_key_and_others_are_not() -> None:
    def made(**more: Any) -> Endpoint:
        return Endpoint("https://a", **more)

    different: list[dict[str, Any]] = [
        {},
        {"insecure_skip_verify": True},
        {"ca": "x"},
        {"headers": (("a", "b"),)},
        {"client_cert": Path("/c")},
        {"dial": ("a", 1)},
    ]
    assert len({made(**how) for how in different for _ in range(2)}) == len(different)


def test_without_more_nothing_is_trusted_or_sent_in_addition() -> None:
    plain = Endpoint("https://a")
    assert (plain.insecure_skip_verify, plain.ca, plain.headers, plain.client_cert) == (False, None, (), None)
    assert (plain.ca_origin, plain.values_path) == ("", "global.external-arg-cd.server")
