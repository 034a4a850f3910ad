"""The real Argo CD of the cluster, by REST and the official Kubernetes client: none of it is the product's."""

import base64
import os
import secrets
from typing import Any

import httpx
from kubernetes import client, config

from dev.runtime import within
from dev.sandbox.network import NODE_IP
from dev.sandbox.paths import KUBECONFIG

CONFIG = os.environ.get("E2E_KUBECONFIG") or str(KUBECONFIG)
NAMESPACE, CM, SECRET = "argocd", "argocd-cm", "argocd-secret"


class RealArgoCD:
    """Accounts of its own, made at once: each has the password that one of them was given by REST."""

    def __init__(self, accounts: dict[str, str]) -> None:
        """Make an account per entry, which names its capabilities as in argocd-cm. Its real name is a random one."""
        api = config.new_client_from_config(CONFIG)
        if str(KUBECONFIG) == CONFIG:  # its way in from the host is not there inside the sandbox's network
            api.configuration.host = f"https://{NODE_IP}:6443"
        self._core = client.CoreV1Api(api)
        address = os.environ.get("FAULTS_ARGOCD")
        if not address:
            address = f"{self._core.read_namespaced_service('argocd-server', NAMESPACE).spec.cluster_ip}:443"
        self.url = f"https://{address}"
        self.http = httpx.Client(base_url=self.url, verify=False, timeout=60, limits=httpx.Limits(max_connections=200))
        self.admins = base64.b64decode(self._data("argocd-initial-admin-secret")["password"]).decode()
        self.names = {part: f"c{secrets.token_hex(4)}" for part in accounts}
        self.password = f"canary-{secrets.token_urlsafe(18)}"
        self.set_cm({f"accounts.{self.names[part]}": entry for part, entry in accounts.items()})
        self._give_passwords()

    def set_cm(self, entries: dict[str, str | None]) -> None:
        """Change argocd-cm; None takes an entry out."""
        self._core.patch_namespaced_config_map(CM, NAMESPACE, {"data": entries})

    def cm(self, key: str) -> str | None:
        found: str | None = self._core.read_namespaced_config_map(CM, NAMESPACE).data.get(key)
        return found

    def set_password_time(self, part: str, at: str) -> None:
        """Set the time of the account's last password change (RFC 3339)."""
        self._patch_secret({f"accounts.{self.names[part]}.passwordMtime": at.encode()})

    def close(self) -> None:
        """Take the accounts away again, with what argocd-secret holds of them."""
        names = self.names.values()
        self.set_cm({key: None for name in names for key in (f"accounts.{name}", f"accounts.{name}.enabled")})
        mine = [key for key in self._data(SECRET) if key.split(".")[1:2] and key.split(".")[1] in names]
        self._core.patch_namespaced_secret(SECRET, NAMESPACE, {"data": dict.fromkeys(mine)})
        self.http.close()

    def _give_passwords(self) -> None:
        first, *others = self.names.values()
        login = self.http.post("/api/v1/session", json={"username": "admin", "password": self.admins})
        session = login.json()["token"]
        body = {"name": first, "newPassword": self.password, "currentPassword": self.admins}
        bearer = {"Authorization": f"Bearer {session}"}

        def given() -> bool:
            return self.http.put("/api/v1/account/password", json=body, headers=bearer).status_code == 200

        within(20, given, "the password is accepted")
        hashed = base64.b64decode(self._data(SECRET)[f"accounts.{first}.password"])
        self._patch_secret({f"accounts.{name}.password": hashed for name in others})
        # Argo CD reads its Secret from a cache, and changes it only in the version that it has read (updateSecret in
        # util/settings/settings.go). So a change that succeeds shows that the cache has the other passwords.
        within(20, given, "Argo CD knows the other passwords")
        self.http.get("/auth/logout", headers={"Cookie": f"argocd.token={session}"})

    def _data(self, name: str) -> dict[str, str]:
        found: dict[str, str] = self._core.read_namespaced_secret(name, NAMESPACE).data
        return found

    def _patch_secret(self, data: dict[str, bytes]) -> None:
        encoded: dict[str, Any] = {key: base64.b64encode(value).decode() for key, value in data.items()}
        self._core.patch_namespaced_secret(SECRET, NAMESPACE, {"data": encoded})
