"""A consumer of an Argo CD API key, as a pod: it uses the key every 100 ms and counts refusals.

Its environment holds the key, or says which Secret does: that one it reads anew before each use, through the Kubernetes
API. What it has counted it writes into a ConfigMap under its own name, where it is still read when the pod is gone.
"""

import base64
import http.client
import json
import os
import signal
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

ADDRESS = ("ARGO_CD_URL", "ARGOCD_SERVER", "ARGO_URL")
KEY = ("ARGO_CD_TOKEN", "ARGOCD_TOKEN", "ARGO_TOKEN")
QUESTION = "/api/v1/account/can-i/applications/get/*/*"
"""Every account may ask it, so a 401 means that the key is refused."""
OWN = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def given(names: tuple[str, ...]) -> str:
    """Return the first of these variables that is set."""
    return next((os.environ[name] for name in names if name in os.environ), "")


class Server:
    """A server whose connection is kept; after a failure the next request opens another one."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        at = urlsplit(f"//{address.rpartition('://')[2]}")
        self._connection = http.client.HTTPSConnection(at.hostname or "", at.port, timeout=5, context=context)

    def ask(self, method: str, path: str, bearer: str, body: object = None) -> tuple[int, bytes]:
        """Return status and content of an answer; status 0 when there was none."""
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/merge-patch+json"}
        try:
            self._connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0, b""


class Consumer:
    """Takes the key, uses it, counts."""

    def __init__(self) -> None:
        # The certificate that Argo CD makes for itself is not what this is about.
        self._argocd = Server(given(ADDRESS), ssl._create_unverified_context())
        address = "{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}".format_map(os.environ)
        self._kubernetes = Server(address, ssl.create_default_context(cafile=str(OWN / "ca.crt")))
        self._key = given(KEY)
        self._uses = self._refusals = 0
        self._last_refusal = 0.0
        self.ending = False

    def use(self) -> bool:
        """Use the key once and tell whether it was refused."""
        self._read_by_name()
        status, _ = self._argocd.ask("GET", QUESTION, self._key)
        self._uses += status in (200, 401)
        if status != 401:
            return False
        self._refusals += 1
        self._last_refusal = time.time()
        return True

    def _read_by_name(self) -> None:
        """Read the key where only its Secret is known. While that is not there, the key that it held goes on."""
        name, key = (os.environ.get(f"ARGO_CD_TOKEN_SECRET_{what}", "") for what in ("NAME", "KEY"))
        if name:
            status, content = self._of_namespace("GET", f"secrets/{name}")
            if status == 200:
                self._key = base64.b64decode(json.loads(content)["data"][key]).decode()

    def write_down(self) -> bool:
        """Write down what was counted, with the key's id; tell whether that was possible."""
        claims = self._key.split(".")[1]
        key_id = json.loads(base64.urlsafe_b64decode(claims + "==="))["jti"]
        count = {"uses": self._uses, "refusals": self._refusals, "last_refusal": self._last_refusal, "key": key_id}
        body = {"data": {os.environ["HOSTNAME"]: json.dumps(count)}}
        return self._of_namespace("PATCH", f"configmaps/{os.environ['COUNTS']}", body)[0] == 200

    def _of_namespace(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Send a request about an object of the pod's namespace, with the pod's rights."""
        namespace, token = ((OWN / name).read_text() for name in ("namespace", "token"))
        return self._kubernetes.ask(method, f"/api/v1/namespaces/{namespace}/{path}", token, body)

    def end(self, *_: object) -> None:
        """End after the present use."""
        self.ending = True


if __name__ == "__main__":
    consumer, written = Consumer(), 0.0
    signal.signal(signal.SIGTERM, consumer.end)
    while not consumer.ending:
        began = time.monotonic()
        if consumer.use() or began - written > 1:
            written = began if consumer.write_down() else 0.0
        time.sleep(max(0.0, began + 0.1 - time.monotonic()))
    while not consumer.write_down():
        time.sleep(0.1)
