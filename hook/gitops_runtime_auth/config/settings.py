"""Settings of a run: what the user said, validated, and what the chart derived from it, as frozen objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    common_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that every object of the release has; ``key_secret`` holds them already."""
    common_annotations: Mapping[str, str] = field(default_factory=dict)
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
