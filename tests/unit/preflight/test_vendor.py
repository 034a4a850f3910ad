"""A values file for two charts: which spelling counts for whom, and a block of the vendor's that fits."""

from typing import Any

import pytest
import yaml

from gitops_runtime_auth.preflight import vendor
from tests.fakes.laptop import FakeLaptop

SERVER = {"svc": "argocd-server.argocd", "port": 443, "rootpath": "/argocd"}
LOGIN = {"type": "password", "username": "admin", "passwordSecretKeyRef": {"name": "mine", "key": "password"}}
OLD = {"global": {"external-argo-cd": {"server": SERVER, "auth": LOGIN, "redis": {"svc": "argocd-redis"}}}}
NEW = {"global": {"integrations": {"argo-cd": {"server": {**SERVER, "auth": LOGIN}}}}}
OWN = {"global": {"external-arg-cd": {"server": SERVER, "auth": LOGIN}}}


def settings(block: str, scheme: str = "https") -> dict[str, Any]:
    """Return the part of settings.json that matters, as the chart writes it."""
    return {
        "values": {"global": {"external-arg-cd": {"server": SERVER, "auth": LOGIN}}},
        "derived": {
            "block": block,
            "url": f"{scheme}://argocd-server.argocd/argocd",
            "key": {"name": "argocd-token", "key": "token"},
        },
    }


def both(*values: dict[str, Any]) -> dict[str, Any]:
    return {"global": {key: block for part in values for key, block in part["global"].items()}}


@pytest.mark.parametrize("given", [{}, OWN, {"global": {"nodeSelector": {}}}, {"hook": {"timeout": 60}}])
def test_values_of_this_chart_alone_need_no_word_on_the_vendors(given: dict[str, Any]) -> None:
    assert vendor.compare(given, settings(vendor.OURS)) is None


@pytest.mark.parametrize(
    ("given", "counts", "parts"),
    [
        (OLD, vendor.VENDOR_OLD, ["global.external-argo-cd counts for this chart", "by the vendor's chart up to 0.25"]),
        (NEW, vendor.VENDOR_NEW, ["global.integrations.argo-cd.server counts", "by the vendor's chart since 0.26"]),
        (
            both(OWN, NEW),
            vendor.OURS,
            ["global.external-arg-cd counts", "this chart does not read global.integrations.argo-cd.server here"],
        ),
        (both(OLD, NEW), vendor.VENDOR_OLD, ["does not read global.integrations.argo-cd.server here"]),
        (
            {"global": {"codefresh": {"accountId": "1"}}},
            vendor.OURS,
            ["global.external-arg-cd counts for this chart (its defaults)", "which is not given, would be read"],
        ),
    ],
)
def test_it_says_which_spelling_counts_for_whom(given: dict[str, Any], counts: str, parts: list[str]) -> None:
    found = vendor.compare(given, settings(counts))
    assert found is not None
    for part in parts:
        assert part in found.found


def test_a_block_that_says_the_type_alone_is_read_for_the_type() -> None:
    of_command_line = {"global": {"external-arg-cd": {"auth": {"type": "token"}}}}
    found = vendor.compare(both(of_command_line, OLD), settings(vendor.VENDOR_OLD))
    assert found is not None
    assert "does not read" not in found.found


@pytest.mark.parametrize("counts", [vendor.OURS, vendor.VENDOR_OLD, vendor.VENDOR_NEW])
@pytest.mark.parametrize(("scheme", "port"), [("https", 443), ("http", 80)])
def test_the_block_to_paste_gives_the_vendor_the_key_and_keeps_ours_apart(counts: str, scheme: str, port: int) -> None:
    found = vendor.compare(NEW, settings(counts, scheme))
    assert found is not None
    pasted = yaml.safe_load(found.paste)
    server = pasted["global"]["integrations"]["argo-cd"]["server"]
    assert server == {
        **SERVER,
        "port": port,
        "auth": {"type": "token", "tokenSecretKeyRef": {"name": "argocd-token", "key": "token"}},
    }
    assert pasted["argo-cd"] == {"enabled": False}
    # The vendor's block replaces what this chart read there, so this chart's moves to a name of its own.
    assert ("external-arg-cd" in pasted["global"]) == (counts != vendor.OURS)


def test_check_of_a_vendors_file_says_it_and_its_block_serves_both_charts(laptop: FakeLaptop) -> None:
    values = laptop.values({"global": {"codefresh": {"accountId": "1"}, **NEW["global"]}})
    found = laptop.check("-f", values, "--server", laptop.argocd.url, by_service=True)
    row = found.row("Vendor's chart")
    assert "global.integrations.argo-cd.server counts for this chart" in row["found"]
    # Pasted behind the vendor's own file, it leaves this chart with the connection that it had.
    pasted = laptop.folder / "pasted.yaml"
    pasted.write_text(row["remedy"])
    again = laptop.check("-f", values, "-f", str(pasted), "--server", laptop.argocd.url, by_service=True)
    assert again.row("Values") == found.row("Values")
    assert "global.external-arg-cd counts for this chart" in again.row("Vendor's chart")["found"]
