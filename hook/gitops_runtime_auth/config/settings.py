"""Settings of a run, as frozen objects: what the user set, and what the chart derived from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

AuthType = Literal["password", "token"]
INITIAL_ADMIN_SECRET = "argocd-initial-admin-secret"  # noqa: S105
"""Argo CD creates it at its first start, tells users to delete it, and does not update it when the password changes."""


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
    """Argo CD's own namespace according to the values, for remedies and ``hook.enableApiKey``."""
    insecure_skip_verify: bool = False
    ca_origin: str = ""
    """Place of the CA certificate in the user's values, empty if there is none."""
    headers_secret: str = ""
    """Name of the Secret whose keys are request headers, empty if there is none."""
    client_cert_secret: str = ""
    """Name of the kubernetes.io/tls Secret with the client certificate, empty if there is none."""


@dataclass(frozen=True)
class Auth:
    """How to authenticate."""

    type: AuthType
    username: str
    """Account name; empty for ``type: token``, because the token contains it."""
    credential: SecretRef
    """The Secret with the password or token: the user's, or the one that the chart made from a plain-text value."""
    inline: bool
    """Whether the credential stands in the values as plain text."""
    path: str
    """The user's spelling of the auth block, for example ``global.external-arg-cd.auth``."""
    accept_expiring: bool = False
    """Take a token of the user that expires, because somebody else renews it."""

    def origin(self) -> str:
        """Return the place of the credential, in terms of the user's values."""
        return f"{self.path}.{self.type}" if self.inline else str(self.credential)


@dataclass(frozen=True)
class KeySecretSpec:
    """The Secret with the API key, as ``keySecret`` in the values describes it."""

    name: str = "argocd-token"
    data: Mapping[str, str] = field(default_factory=lambda: {"token": "token"})
    """Secret key -> its content: ``token``, ``url``, ``server`` or ``account``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    former_names: tuple[str, ...] = ()
    """Names that the Secret had before an upgrade."""
    adopt: bool = False
    """Take over a Secret of that name that has no owner's labels."""


@dataclass(frozen=True)
class Settings:
    """Everything that the commands need from the values."""

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
    """Name of the ConfigMap with the record of refused passwords."""
    common_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of every object of the release; ``key_secret`` contains them already."""
    common_annotations: Mapping[str, str] = field(default_factory=dict)
    leftover_jobs: tuple[str, ...] = ()
    """Jobs that Helm leaves after a failed install, and that the uninstall deletes."""
    leftover_pods: tuple[str, ...] = ()
    leftover_secrets: tuple[str, ...] = ()
    """Secrets with a plain-text credential that a failed install may leave."""
    timeout: float = 180.0
    """Seconds for the whole run of a Job."""
    wait_for_secrets: float = 120.0
    """Seconds to wait for a Secret or ConfigMap of the user that does not exist yet."""
    enable_api_key: bool = False
    """Add the ``apiKey`` capability to the account when it lacks it."""
    log_level: str = "info"
    interval: float = 60.0
    """Seconds between two checks of the key by the keeper."""
    max_age: float = 0.0
    """Age in seconds at which the keeper replaces a key, 0 for never."""
    grace_period: float = 180.0
    """Seconds for which a replaced key stays valid at least, because mounted files get the new key late."""
    restart_consumers: bool = True

    @property
    def another_run(self) -> float:
        """Seconds after which another run has ended: ``hook.timeout``, and a minute for its start."""
        return self.timeout + 60.0
