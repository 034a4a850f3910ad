"""The settings that the chart hands to a pod, for a release of these tests.

``test_privileges`` compares them with what helm renders from the same values.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.keys import KEY_SECRET
from tests.faults.roles import CONSUMER, CREDENTIAL, JOBS, REFUSED, TEST_POD

CHART = Path(__file__).parents[2] / "chart"
MINE = "mine"
"""The user's own Secret."""
GRACE_PERIOD = 1
"""Seconds for which a replaced key stays valid at least, unless a test says otherwise."""
CONSUMERS = (f"deployment/{CONSUMER}",)

Values = dict[str, Any]


def document(
    url: str, account: str, timeout: int, more: Mapping[str, Any], consumers: tuple[str, ...] = CONSUMERS
) -> str:
    """Return settings.json for the Argo CD at ``url``; ``more`` values are laid over what all these releases have."""
    values = merged(_defaults(), given(url, account, timeout, more))
    auth = values["global"]["external-arg-cd"]["auth"]
    auth.pop({"password": "tokenSecretKeyRef", "token": "passwordSecretKeyRef"}[auth["type"]])
    if auth["type"] == "token":
        del auth["username"]
    credential = {"name": MINE, "key": auth["type"], "inline": False}
    derived = {
        "block": "global.external-arg-cd",
        "url": url,
        "argocdNamespace": values["hook"]["argocdNamespace"],
        "credential": credential,
        "key": {"name": KEY_SECRET if auth["type"] == "password" else MINE, "key": "token"},
        "consumers": [*consumers],
        "waitFor": [],
        "refused": REFUSED,
        "leftovers": {"jobs": [*JOBS], "pods": [TEST_POD], "secrets": [CREDENTIAL]},
        "commonLabels": {},
        "commonAnnotations": {},
    }
    return json.dumps({"values": values, "derived": derived})


def given(url: str, account: str, timeout: int, more: Mapping[str, Any]) -> Values:
    """Return what the user of such a release says, as helm's ``-f`` takes it."""
    auth = {
        "type": "password",
        "username": account,
        "passwordSecretKeyRef": {"name": MINE, "key": "password"},
        "tokenSecretKeyRef": {"name": MINE, "key": "token"},
    }
    ours: Values = {
        "global": {"external-arg-cd": {"server": {"url": url}, "auth": auth}},
        "hook": {"timeout": timeout, "logLevel": "debug", "waitForSecrets": 2, "argocdNamespace": "argocd"},
        "keeper": {"gracePeriod": GRACE_PERIOD},
    }
    return merged(ours, more)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Values:
    """Lay one tree over another, as helm does with values files."""
    both = {**under, **over}
    for key in under.keys() & over.keys():
        if isinstance(under[key], Mapping) and isinstance(over[key], Mapping):
            both[key] = merged(under[key], over[key])
    return both


def _defaults() -> Values:
    """Return the chart's defaults of what stands in the settings."""
    server = {
        "svc": "argocd-server",
        "port": 443,
        "rootpath": "",
        "url": "",
        "insecureSkipVerify": False,
        "caSecretKeyRef": {"name": "argocd-secret", "key": "tls.crt"},
    }
    return {
        "global": {"external-arg-cd": {"server": server, "auth": {}}},
        "hook": {"enableApiKey": False},
        "keeper": {"interval": 60, "maxAge": "", "restartConsumers": True, "consumers": []},
        "keySecret": {
            "name": KEY_SECRET,
            "data": {"token": "token"},
            "labels": {},
            "annotations": {},
            "formerNames": [],
            "adopt": False,
        },
    }
