"""Reads and validates ``settings.json``, which the chart writes, and returns the settings."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitops_runtime_auth.config import schema
from gitops_runtime_auth.config.settings import Auth, KeySecretSpec, SecretRef, Server, Settings
from gitops_runtime_auth.errors import ConfigurationError, UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def load(path: Path) -> tuple[Settings, bytes]:
    """Read the mounted settings file; return the settings and the file's bytes.

    Raises UsageError (no file) or ConfigurationError.
    """
    try:
        content = path.read_bytes()
    except OSError as e:
        raise UsageError(
            f"The settings file {path} can't be read ({e.strerror}).",
            "Let the chart run this command: it mounts the file.",
        ) from None
    try:
        document = json.loads(content)
    except ValueError:
        raise _of_another_chart(path) from None
    if not isinstance(document, dict):
        raise _of_another_chart(path)
    return parse(document), content


def parse(document: Mapping[str, Any]) -> Settings:
    """Validate ``values`` of the settings document and return the settings.

    Raises ConfigurationError, which names the wrong key.
    """
    values, derived = document.get("values"), document.get("derived")
    schema.validate(values, _block_name(derived))
    try:
        return _settings(values, derived)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise ConfigurationError(
            f"The settings that the chart wrote are not complete ({type(e).__name__}).",
            "Use image and chart of the same version: helm upgrade writes the settings again.",
        ) from None


def _of_another_chart(path: Path) -> ConfigurationError:
    return ConfigurationError(f"The settings file {path} is not JSON.", "Run helm upgrade: the chart writes this file.")


def _block_name(derived: Any) -> str:
    name = derived.get("block") if isinstance(derived, dict) else None
    return name if isinstance(name, str) else "global.external-arg-cd"


def _settings(values: Mapping[str, Any], derived: Mapping[str, Any]) -> Settings:
    block = values["global"]["external-arg-cd"]
    hook, keeper, credential = values["hook"], values["keeper"], derived["credential"]
    auth, leftovers = block["auth"], derived["leftovers"]
    return Settings(
        server=_server(block["server"], derived),
        auth=Auth(
            type=auth["type"],
            username=auth["username"] if auth["type"] == "password" else "",
            credential=SecretRef(credential["name"], credential["key"]),
            inline=bool(credential["inline"]),
            path=f"{derived['block']}.auth",
            accept_expiring=bool(auth.get("acceptExpiring")),
        ),
        key_secret=_key_secret(values["keySecret"]),
        key=SecretRef(derived["key"]["name"], derived["key"]["key"]),
        consumers=tuple(derived["consumers"]),
        wait_for=tuple(derived["waitFor"]),
        refused_record=derived["refused"],
        common_labels=derived.get("commonLabels") or {},
        common_annotations=derived.get("commonAnnotations") or {},
        leftover_jobs=tuple(leftovers["jobs"]),
        leftover_pods=tuple(leftovers["pods"]),
        leftover_secrets=tuple(leftovers["secrets"]),
        timeout=float(hook["timeout"]),
        wait_for_secrets=float(hook.get("waitForSecrets", Settings.wait_for_secrets)),
        enable_api_key=bool(hook.get("enableApiKey")),
        log_level=hook["logLevel"],
        interval=float(keeper["interval"]),
        max_age=_seconds(keeper.get("maxAge") or ""),
        grace_period=float(keeper.get("gracePeriod", Settings.grace_period)),
        restart_consumers=keeper["restartConsumers"],
    )


def _server(given: Mapping[str, Any], derived: Mapping[str, Any]) -> Server:
    ca, kind = given.get("caConfigMapKeyRef") or {}, "ConfigMap"
    if not ca.get("name"):
        ca, kind = given.get("caSecretKeyRef") or {}, "Secret"
    return Server(
        url=derived["url"],
        namespace=derived["argocdNamespace"],
        insecure_skip_verify=bool(given.get("insecureSkipVerify")),
        ca_origin=f'{kind} "{ca["name"]}", key "{ca["key"]}"' if ca.get("name") and ca.get("key") else "",
        headers_secret=(given.get("headersSecretRef") or {}).get("name") or "",
        client_cert_secret=(given.get("clientCertSecretRef") or {}).get("name") or "",
    )


def _key_secret(given: Mapping[str, Any]) -> KeySecretSpec:
    return KeySecretSpec(
        name=given["name"],
        data=dict(given["data"]),
        labels=given.get("labels") or {},
        annotations=given.get("annotations") or {},
        former_names=tuple(given.get("formerNames") or ()),
        adopt=bool(given.get("adopt")),
    )


def _seconds(duration: str) -> float:
    found = re.fullmatch(r"([0-9]+)([smhd])", duration)
    return float(int(found[1]) * _UNITS[found[2]]) if found else 0.0
