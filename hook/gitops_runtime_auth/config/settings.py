"""Settings of a run: what the user said, validated, and what the chart derived from it, as frozen objects."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gitops_runtime_auth.config import schema
from gitops_runtime_auth.errors import ConfigurationError, UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

AuthType = Literal["password", "token"]
INITIAL_ADMIN_SECRET = "argocd-initial-admin-secret"  # noqa: S105
"""Argo CD makes it at its first start, asks people to delete it, and leaves it as it is when the password changes."""


@dataclass(frozen=True)
class SecretRef:
    """A key of a Secret in the release's namespace."""

    name: str
    key: str

    def __str__(self) -> str:
        return f'Secret "{self.name}", key "{self.key}"'


@dataclass(frozen=True)
class Server:
    """The existing Argo CD, as the chart derived it from ``server`` in the values."""

    url: str
    """Full URL without a trailing slash, for example ``https://argocd-server/argocd``."""
    namespace: str
    """Argo CD's own namespace as far as the values tell, for remedies and ``hook.enableApiKey``."""
    insecure_skip_verify: bool = False
    ca_origin: str = ""
    """Where the CA certificate comes from, in the user's terms; empty when the values name none."""
    headers_secret: str = ""
    """Name of the Secret whose keys are request headers; empty when there is none."""
    client_cert_secret: str = ""
    """Name of the kubernetes.io/tls Secret with the client certificate; empty when there is none."""


@dataclass(frozen=True)
class Auth:
    """How to authenticate."""

    type: AuthType
    username: str
    """Account name; empty for ``type: token``, whose token says whose it is."""
    credential: SecretRef
    """The Secret with the password or token: the user's, or the one that the chart made of a plain-text value."""
    inline: bool
    """The credential was given as plain text in the values."""
    path: str
    """The spelling of the auth block that the user chose, for example ``global.external-arg-cd.auth``."""
    accept_expiring: bool = False
    """Take a user's token that has an end; somebody else renews it."""

    def origin(self) -> str:
        """Name the credential's place in the user's own terms."""
        return f"{self.path}.{self.type}" if self.inline else str(self.credential)


@dataclass(frozen=True)
class KeySecretSpec:
    """The Secret that holds the API key, as ``keySecret`` in the values describes it."""

    name: str = "argocd-token"
    data: Mapping[str, str] = field(default_factory=lambda: {"token": "token"})
    """Secret key -> what it holds: ``token``, ``url``, ``server`` or ``account``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    former_names: tuple[str, ...] = ()
    """Names that an upgrade moves away from."""
    adopt: bool = False
    """Take over a Secret of that name that nobody's labels own."""


@dataclass(frozen=True)
class Settings:
    """Everything that a command needs to know from the values."""

    server: Server
    auth: Auth
    key_secret: KeySecretSpec = KeySecretSpec()
    key: SecretRef = SecretRef("argocd-token", "token")
    """Where consumers find the API key: the key Secret, or the user's own Secret for ``type: token``."""
    consumers: tuple[str, ...] = ()
    """Workloads that take the key by environment, such as ``deployment/r-event-reporter``: restarted for a new key."""
    wait_for: tuple[str, ...] = ()
    """Further workloads of the release whose rollout must have finished before a replaced key is revoked."""
    refused_record: str = ""
    """Name of the ConfigMap that remembers refused passwords."""
    leftover_jobs: tuple[str, ...] = ()
    """Jobs that Helm leaves after a failed install, for uninstall to delete."""
    leftover_pods: tuple[str, ...] = ()
    leftover_secrets: tuple[str, ...] = ()
    """Secrets with a plain-text credential that a failed install may leave."""
    timeout: float = 180.0
    """Seconds for a whole run of a Job."""
    wait_for_secrets: float = 120.0
    """Seconds to wait for a Secret or ConfigMap of the user's that does not exist yet."""
    enable_api_key: bool = False
    """Add the ``apiKey`` capability to the account when it lacks it."""
    log_level: str = "info"
    interval: float = 60.0
    """Seconds between two checks of the key by the keeper."""
    max_age: float = 0.0
    """Seconds after which the keeper replaces a key, 0 for never."""
    grace_period: float = 180.0
    """Seconds for which a replaced key lives at least, because mounted files follow a new key late."""
    restart_consumers: bool = True

    @property
    def another_run(self) -> float:
        """Seconds after which a run that was under way has ended: ``hook.timeout`` and a minute for its start."""
        return self.timeout + 60.0


def load(path: Path) -> tuple[Settings, bytes]:
    """Read the settings file that the chart mounted; return the settings and the file's bytes.

    Raises UsageError (no file) or ConfigurationError.
    """
    try:
        content = path.read_bytes()
    except OSError as e:
        raise UsageError(
            f"The settings file {path} can't be read ({e.strerror}).",
            "Run this command through the chart, which mounts the file.",
        ) from None
    try:
        document = json.loads(content)
    except ValueError:
        raise _of_another_chart(path) from None
    if not isinstance(document, dict):
        raise _of_another_chart(path)
    return parse(document), content


def parse(document: Mapping[str, Any]) -> Settings:
    """Validate ``values`` of the chart's settings document and return the settings.

    Raises ConfigurationError that names the key which is wrong.
    """
    values, derived = document.get("values"), document.get("derived")
    schema.validate(values, _block_name(derived))
    try:
        return _settings(values, derived)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise ConfigurationError(
            f"The settings that the chart wrote are not complete ({type(e).__name__}).",
            "Use the image and the chart of one version: helm upgrade renders the settings anew.",
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
        leftover_jobs=tuple(leftovers["jobs"]),
        leftover_pods=tuple(leftovers["pods"]),
        leftover_secrets=tuple(leftovers["secrets"]),
        timeout=float(hook["timeout"]),
        wait_for_secrets=float(hook.get("waitForSecrets", Settings.wait_for_secrets)),
        enable_api_key=bool(hook.get("enableApiKey")),
        log_level=hook.get("logLevel") or Settings.log_level,
        interval=float(keeper["interval"]),
        max_age=_seconds(keeper.get("maxAge") or ""),
        grace_period=float(keeper.get("gracePeriod", Settings.grace_period)),
        restart_consumers=bool(keeper.get("restartConsumers", True)),
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
