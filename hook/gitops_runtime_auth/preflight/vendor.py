"""Explains a values file that two charts read: which spelling of the block counts for which chart.

The vendor's chart is ``gitops-runtime`` of codefresh-io/gitops-runtime-helm. It reads ``global.external-argo-cd`` up to
0.25 and ``global.integrations.argo-cd`` since 0.26 (its values.yaml of these releases).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

OURS, VENDOR_OLD, VENDOR_NEW = (
    "global.external-arg-cd",
    "global.external-argo-cd",
    "global.integrations.argo-cd.server",
)

_READ_BY = {
    OURS: "by this chart only",
    VENDOR_OLD: "by the vendor's chart up to 0.25",
    VENDOR_NEW: "by the vendor's chart since 0.26",
}


@dataclass(frozen=True)
class Spelling:
    """What a values file means for each of the two charts."""

    found: str
    paste: str
    """YAML with which both charts use this release's API key."""


def compare(given: Mapping[str, Any], settings: Mapping[str, Any]) -> Spelling | None:
    """Compare the user's values with what this chart made of them. Return None if only this chart reads them.

    ``settings`` is the document that the hook would read (``values`` and ``derived``).
    """
    given_names = [name for name in _READ_BY if _at(given, name)]
    if given_names in ([], [OURS]) and not _at(given, "global.codefresh"):
        return None
    counts = str(settings["derived"]["block"])
    parts = [f"{counts} counts for this chart" + ("" if counts in given_names else " (its defaults)")]
    parts += [f"{name} is read {_READ_BY[name]}" for name in _READ_BY if name in given_names and name != OURS]
    ignored = [name for name in given_names if name != counts and not _only_the_type(_at(given, name))]
    if ignored:
        parts.append(f"this chart does not read {' and '.join(ignored)} here")
    unread = {VENDOR_OLD, VENDOR_NEW} - set(given_names)
    parts += [f"{name}, which is not given, would be read {_READ_BY[name]}" for name in sorted(unread)]
    return Spelling("; ".join(parts) + ".", _paste(counts, settings))


def _paste(counts: str, settings: Mapping[str, Any]) -> str:
    """Return values with which the vendor's chart takes the API key that this release makes."""
    import yaml

    key = settings["derived"]["key"]
    server = _service(str(settings["derived"]["url"]))
    auth = {"type": "token", "tokenSecretKeyRef": {"name": key["name"], "key": key["key"]}}
    text = "# The vendor's chart since 0.26. Up to 0.25: the same server and auth below global.external-argo-cd.\n"
    shared: dict[str, Any] = {"integrations": {"argo-cd": {"server": {**server, "auth": auth}}}}
    if counts != OURS:
        text = f"# external-arg-cd: for this chart, moved there from {counts}, which the vendor's chart reads.\n{text}"
        shared = {"external-arg-cd": settings["values"]["global"]["external-arg-cd"], **shared}
    return text + str(yaml.safe_dump({"global": shared, "argo-cd": {"enabled": False}}, sort_keys=False)).rstrip()


def _service(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"svc": parts.hostname or "", "port": port, "rootpath": parts.path}


def _only_the_type(block: Any) -> bool:
    """Tell whether a block contains only ``auth.type``, so that it sets the type of the block that counts."""
    auth = block.get("auth") if isinstance(block, dict) and len(block) == 1 else None
    return isinstance(auth, dict) and list(auth) == ["type"]


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found
