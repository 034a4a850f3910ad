"""Settings of a run: the chart's values, validated, as frozen objects with everything derived once."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from gitops_runtime_auth.config import schema
from gitops_runtime_auth.errors import ConfigurationError, UsageError

INLINE_SECRETS = {
    "password": "gitops-runtime-argo-cd-password",
    "token": "gitops-runtime-argo-cd-token",
}
"""Where the chart puts a credential that was given inline (DESIGN section 2)."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class SecretRef:
    """A key of a Secret in the release's namespace."""

    name: str
    key: str

    def __str__(self) -> str:
        return f'Secret "{self.name}", key "{self.key}"'


@dataclass(frozen=True)
class Server:
    """The existing Argo CD."""

    url: str
    """Full URL without a trailing slash, for example ``https://argocd-server/argocd``."""
    insecure_skip_verify: bool = False
    ca_ref: SecretRef | None = None
    """The Secret with the CA (or self-signed) certificate, besides the public CAs."""
    namespace: str = ""
    """Argo CD's own namespace as far as the values tell, for remedies; empty when they don't."""


@dataclass(frozen=True)
class Auth:
    """How to authenticate. ``ref`` says where the credential of the chosen type is stored."""

    type: Literal["password", "token"]
    username: str
    """Account name; empty for ``type: token``, whose token says whose it is."""
    ref: SecretRef | None
    inline: str | None = field(default=None, repr=False)
    """The plain-text credential. Only ``check`` sees one: the chart moves it to a Secret."""

    def origin(self) -> str:
        """Name the credential's place in the user's own terms."""
        if self.ref is None or self.ref.name == INLINE_SECRETS[self.type]:
            return f"global.external-arg-cd.auth.{self.type}"
        return str(self.ref)


@dataclass(frozen=True)
class Settings:
    """Everything that a command needs to know from the values."""

    server: Server
    auth: Auth
    timeout: float = 180.0
    """Seconds for a whole run of a Job."""
    enable_api_key: bool = False
    """Add the ``apiKey`` capability to the account when it lacks it."""
    log_level: str = "info"
    interval: float = 60.0
    """Seconds between two checks of the key by the keeper."""
    max_age: float = 0.0
    """Seconds after which the keeper replaces a key, 0 for never."""
    restart_consumers: bool = True


def load(path: Path) -> Settings:
    """Read the settings that the chart mounted. Raises UsageError (no file) or ConfigurationError."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as e:
        raise UsageError(
            f"The settings file {path} can't be read ({e.strerror}).",
            "Run this command through the chart, which mounts the file, or name one with --settings.",
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"The settings file {path} is not JSON.", "Reinstall the chart: it renders this file."
        ) from None
    return load_values(values)


def load_values(values: Any) -> Settings:
    """Validate merged values with the chart's schema and return the settings.

    Raises ConfigurationError that names the key and what would be right.
    """
    schema.validate(values)
    block = schema.effective_block(values)
    hook, keeper = values.get("hook") or {}, values.get("keeper") or {}
    server = _server(block["server"], hook.get("argocdNamespace") or "")
    return Settings(
        server=server,
        auth=_auth(block["auth"]),
        timeout=float(hook.get("timeout") or Settings.timeout),
        enable_api_key=bool(hook.get("enableApiKey")),
        log_level=hook.get("logLevel") or Settings.log_level,
        interval=float(keeper.get("interval") or Settings.interval),
        max_age=_seconds(keeper.get("maxAge") or ""),
        restart_consumers=bool(keeper.get("restartConsumers", True)),
    )


def _server(given: dict[str, Any], namespace: str) -> Server:
    ref = given.get("caSecretKeyRef") or {}
    ca_ref = SecretRef(ref["name"], ref["key"]) if ref.get("name") and ref.get("key") else None
    skip = bool(given.get("insecureSkipVerify"))
    if given.get("url"):
        parts = _url(given["url"])
        url = f"{parts.scheme.lower()}://{parts.netloc}{_rootpath(parts.path)}"
        return Server(url, skip, ca_ref, namespace)
    svc, port = str(given["svc"]), int(given["port"])
    scheme = "https" if port == 443 else "http"
    host = svc if port == {"https": 443, "http": 80}[scheme] else f"{svc}:{port}"
    inferred = svc.split(".")[1] if "." in svc else ""
    return Server(f"{scheme}://{host}{_rootpath(given.get('rootpath') or '')}", skip, ca_ref, namespace or inferred)


def _url(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:  # the schema leaves it nothing to refuse, as far as we know
        raise ConfigurationError(
            "global.external-arg-cd.server.url is not a URL.",
            "Set global.external-arg-cd.server.url to a URL such as https://argocd.example.com/argocd.",
        ) from None


def _rootpath(path: str) -> str:
    bare = path.strip("/")
    return f"/{bare}" if bare else ""


def _auth(given: dict[str, Any]) -> Auth:
    kind = given["type"]
    inline = given.get(kind) or None
    ref = given.get(f"{kind}SecretKeyRef") or {}
    return Auth(
        type=kind,
        username=given["username"] if kind == "password" else "",
        ref=None if inline else SecretRef(ref["name"], ref["key"]),
        inline=inline,
    )


def _seconds(duration: str) -> float:
    found = re.fullmatch(r"([0-9]+)([smhd])", duration)
    return float(int(found[1]) * _UNITS[found[2]]) if found else 0.0
