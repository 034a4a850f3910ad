"""The settings that the chart hands to a pod, for a release of these tests.

``test_privileges`` compares their shape with what helm renders.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dev.keys import KEY_SECRET
from tests.faults.roles import CONSUMER, JOBS, REFUSED, TEST_POD

CHART = Path(__file__).parents[2] / "chart"
CREDENTIAL = "mine"
"""The user's own Secret."""
GRACE_PERIOD = 1
"""Seconds for which a replaced key lives at least, where a test does not say otherwise."""


def document(url: str, account: str, timeout: int, values: Mapping[str, Any]) -> str:
    """Return settings.json for the Argo CD at ``url``; ``values`` are laid over what all these releases have."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    parts = {part: defaults.get(part) or {} for part in ("hook", "keeper", "keySecret")}
    all_values = merged(parts, given(url, account, timeout, values))
    auth = all_values["global"]["external-arg-cd"]["auth"]
    credential = {"name": CREDENTIAL, "key": auth["type"], "inline": False}
    derived = {
        "block": "global.external-arg-cd",
        "url": url,
        "argocdNamespace": all_values["hook"].get("argocdNamespace") or "argocd",
        "credential": credential,
        "key": {"name": KEY_SECRET, "key": "token"}
        if auth["type"] == "password"
        else {"name": CREDENTIAL, "key": "token"},
        "consumers": [f"deployment/{CONSUMER}"],
        "waitFor": [],
        "refused": REFUSED,
        "leftovers": {"jobs": [*JOBS], "pods": [TEST_POD], "secrets": []},
    }
    return json.dumps({"values": all_values, "derived": derived})


def given(url: str, account: str, timeout: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the user of such a release says, as helm's ``-f`` takes it."""
    auth = {
        "type": "password",
        "username": account,
        "passwordSecretKeyRef": {"name": CREDENTIAL, "key": "password"},
        "tokenSecretKeyRef": {"name": CREDENTIAL, "key": "token"},
    }
    server = {"svc": "argocd-server", "port": 443, "rootpath": "", "url": url, "insecureSkipVerify": False}
    ours: dict[str, Any] = {
        "global": {"external-arg-cd": {"server": server, "auth": auth}},
        "hook": {"timeout": timeout, "logLevel": "debug", "waitForSecrets": 2},
        "keeper": {"gracePeriod": GRACE_PERIOD},
        "keySecret": {"name": KEY_SECRET, "data": {"token": "token"}},
    }
    return merged(ours, values)


def consumers(settings: str, *names: str) -> str:
    """Return the settings with other consumers, all of them Deployments."""
    found = json.loads(settings)
    return json.dumps(merged(found, {"derived": {"consumers": [f"deployment/{name}" for name in names]}}))


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree over another, as helm does with values files."""
    both = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], Mapping) and isinstance(over[key], Mapping):
            both[key] = merged(under[key], over[key])
    return both
