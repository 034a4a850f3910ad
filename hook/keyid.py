"""Names of API keys: which release of which cluster a key in Argo CD's list belongs to."""

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime

_BRAND = "gra"
_PATTERN = re.compile(
    rf"^{_BRAND}\.(?P<cluster>[0-9a-f]{{12}})\.(?P<namespace>[a-z0-9-]{{1,63}})\.(?P<release>[a-z0-9.-]{{1,53}})\."
    r"(?P<once>[0-9]{8}t[0-9]{6}z-[0-9a-f]{12})$"
)


@dataclass(frozen=True)
class Owner:
    """Who a key belongs to. Only keys whose id says all three are ever revoked."""

    cluster: str
    """Fingerprint of the cluster's CA: the same release name in another cluster is somebody else."""
    namespace: str
    release: str

    def new_id(self) -> str:
        """Return a key id that was never used before and never will be.

        Argo CD brings a revoked key back to life when its id is used again (a key is valid while its id is
        listed: ``util/session/sessionmanager.go``), so the last part is a time and 48 random bits. Letters,
        digits, ``.`` and ``-`` only: an id with a slash can't be deleted through REST.
        """
        now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dt%H%M%Sz")
        return f"{_BRAND}.{self.cluster}.{self.namespace}.{self.release}.{now}-{secrets.token_hex(6)}"

    def owns(self, key_id: str) -> bool:
        """Tell whether ``key_id`` names a key of this release of this cluster."""
        found = _PATTERN.match(key_id)
        return found is not None and (self.cluster, self.namespace, self.release) == (
            found["cluster"],
            found["namespace"],
            found["release"],
        )


def fingerprint(ca: bytes) -> str:
    """Return the identity of a cluster: 48 bits of its CA's SHA-256, as hex.

    The CA bundle is in every pod that may talk to the API (``kube-root-ca.crt``), so it needs no extra rights.
    """
    return hashlib.sha256(ca.strip()).hexdigest()[:12]
