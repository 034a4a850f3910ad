"""Asks Argo CD as its admin, over plain REST, so that tests can compare the product with it.

The product has its own client (``gitops_runtime_auth.argocd``). Tests that used that one would share its mistakes, so
nothing here imports it.
"""

import subprocess
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import httpx

_TIMEOUT_SECONDS = 60.0
"""Argo CD handles the logins of an account one after the other: a login can take 40 s."""
_RECONNECT_SECONDS = 60.0
"""How long a restarted Argo CD or API server may take until a request gets through again."""


class ArgoCDError(Exception):
    """Argo CD refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


@dataclass(frozen=True)
class Key:
    """An API key, as an account's list has it."""

    id: str
    expires_at: int = 0
    """Unix seconds; 0 means never."""


@dataclass(frozen=True)
class Account:
    """An account, as Argo CD describes it."""

    name: str
    enabled: bool
    capabilities: frozenset[str]
    keys: tuple[Key, ...]


class Way(Protocol):
    """Leads from this machine to Argo CD."""

    def url(self) -> str:
        """Return Argo CD's address as it is reached now. Raises ConnectionError."""

    def close(self) -> None:
        """Close the connection; the next ``url`` opens a new one."""


class Direct:
    """A URL that can be dialled from here."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def url(self) -> str:
        """See Way."""
        return self._url

    def close(self) -> None:
        """See Way; there is nothing to close."""


class Forward:
    """``kubectl port-forward`` to a Service. It ends when the Pod behind it ends, so it is started anew on demand."""

    def __init__(self, kubeconfig: str, namespace: str = "argocd", service: str = "argocd-server") -> None:
        self._command = ["kubectl", f"--kubeconfig={kubeconfig}", "-n", namespace, "port-forward", f"service/{service}"]
        self._process: subprocess.Popen[str] | None = None
        self._url = ""
        self._lock = threading.Lock()

    def url(self) -> str:
        """See Way."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._end()
                self._process = subprocess.Popen(
                    [*self._command, ":443"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
                assert self._process.stdout
                # "Forwarding from 127.0.0.1:39211 -> 8080"
                _, _, rest = self._process.stdout.readline().partition("127.0.0.1:")
                if not rest:
                    self._end()
                    raise ConnectionError("kubectl port-forward ended at once")
                self._url = f"https://127.0.0.1:{rest.split()[0]}"
            return self._url

    def close(self) -> None:
        """See Way."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None


class ArgoCD:
    """Argo CD's REST API. Every method raises ArgoCDError when Argo CD refuses, httpx.TransportError when it is away.

    ``bearer`` is a login session or an API key. The certificate is not checked: the tests trust their own sandbox.
    """

    def __init__(self, way: Way) -> None:
        self._way = way
        self._http = httpx.Client(verify=False, timeout=_TIMEOUT_SECONDS, trust_env=False)

    def send(self, method: str, path: str, bearer: str = "", body: object = None) -> dict[str, Any]:
        """Send a request, again and again while nothing answers, and return the answer's JSON."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
        until = time.monotonic() + _RECONNECT_SECONDS
        while True:
            try:
                answer = self._http.request(method, self._way.url() + path, headers=headers, json=body)
                break
            except (httpx.TransportError, ConnectionError):
                self._way.close()
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        if answer.status_code != HTTPStatus.OK:
            raise ArgoCDError(answer.status_code, answer.text[:500])
        found: dict[str, Any] = answer.json()
        return found

    def login(self, user: str, password: str) -> str:
        """Log in and return the session."""
        return str(self.send("POST", "/api/v1/session", body={"username": user, "password": password})["token"])

    def logout(self, session: str) -> None:
        """End a login session. Argo CD has no REST call for that, only the page to which its UI goes."""
        headers = {"Cookie": f"argocd.token={session}"}
        self._http.get(f"{self._way.url()}/auth/logout", headers=headers, follow_redirects=False)

    def account(self, name: str, bearer: str) -> Account:
        """Return an account, as Argo CD shows it to whoever ``bearer`` is."""
        found = self.send("GET", f"/api/v1/account/{name}", bearer)
        keys = tuple(Key(key["id"], int(key.get("expiresAt") or 0)) for key in found.get("tokens") or [])
        return Account(found["name"], bool(found.get("enabled")), frozenset(found.get("capabilities") or []), keys)

    def accepts(self, account: str, bearer: str) -> bool:
        """Tell whether Argo CD takes ``bearer`` for ``account``; only Argo CD's own 401 says that it does not.

        A spoilt Secret may hold bytes that no header can carry.
        """
        if not bearer.isascii():
            return False
        try:
            self.account(account, bearer)
        except ArgoCDError as e:
            if e.status == HTTPStatus.UNAUTHORIZED:
                return False
            raise
        return True

    def may_see_applications(self, bearer: str) -> bool:
        """Tell whether RBAC lets ``bearer`` read all Applications."""
        return bool(self.send("GET", "/api/v1/account/can-i/applications/get/*/*", bearer)["value"] == "yes")

    def create_key(self, account: str, key_id: str, bearer: str, seconds: int = 0) -> str:
        """Make an API key, as ``argocd account generate-token`` does; one of 0 seconds never expires."""
        body = {"name": account, "id": key_id, "expiresIn": seconds}
        return str(self.send("POST", f"/api/v1/account/{account}/token", bearer, body)["token"])

    def delete_key(self, account: str, key_id: str, bearer: str) -> None:
        """Revoke an API key. Argo CD answers 409 when somebody else writes argocd-secret at the same time."""
        until = time.monotonic() + 15
        while True:
            try:
                self.send("DELETE", f"/api/v1/account/{account}/token/{key_id}", bearer)
                return
            except ArgoCDError as e:
                if e.status != HTTPStatus.CONFLICT or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def set_password(self, name: str, password: str, session: str, own: str) -> None:
        """Give account ``name`` a password, as the admin with ``session``, whose own password is ``own``.

        Argo CD follows its ConfigMap by an informer, so an account that was just added is waited for.
        """
        body = {"name": name, "newPassword": password, "currentPassword": own}
        until = time.monotonic() + 15
        while True:
            try:
                self.send("PUT", "/api/v1/account/password", session, body)
                return
            except ArgoCDError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def close(self) -> None:
        """Close the connections and the way."""
        self._http.close()
        self._way.close()
