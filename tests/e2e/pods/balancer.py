"""A balancer before two replicas of argocd-server, as a pod: it spreads single requests, and one replica lags.

The real server answers all. What the lagging replica does not know yet, as its cache follows argocd-secret and
argocd-cm late, is answered here in Argo CD's own words: a key, and the capability apiKey, in their first four seconds.
"""

import base64
import http.client
import itertools
import json
import ssl
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LAG = 4.0
JSON = (("Content-Type", "application/json"),)
OURS = ("connection", "content-length", "transfer-encoding")
turn = itertools.count()
first_seen: dict[str, float] = {}


def fresh(what: str) -> bool:
    return time.monotonic() - first_seen.setdefault(what, time.monotonic()) < LAG


def refusal(bearer: str) -> str:
    """Return why the lagging replica refuses this key, empty if it does not."""
    claims = json.loads(base64.urlsafe_b64decode(bearer.split(".")[1] + "=="))
    name, _, capability = claims["sub"].partition(":")
    if capability != "apiKey" or not fresh(claims["jti"]):
        return ""
    return f"invalid session: account {name} does not have token with id {claims['jti']}"


class Balancer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def forward(self) -> None:
        lags = next(turn) % 2 == 1
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        why = refusal(bearer) if bearer else ""
        if lags and why:
            print("lags: key", flush=True)
            return self.answer(401, json.dumps({"error": why, "code": 16, "message": why}).encode())
        if lags and self.path.endswith("/token") and self.command == "POST" and fresh("apiKey"):
            print("lags: capability", flush=True)
            why = f"account '{self.path.split('/')[4]}' does not have apiKey capability"
            return self.answer(500, json.dumps({"error": why, "code": 2, "message": why}).encode())
        status, content, headers = self.ask(body)
        if self.command == "GET" and b'"apiKey"' in content and fresh("apiKey") and lags:
            print("lags: capability", flush=True)
            account = json.loads(content)
            account["capabilities"] = [c for c in account["capabilities"] if c != "apiKey"]
            content = json.dumps(account).encode()
        return self.answer(status, content, headers)

    def ask(self, body: bytes) -> tuple[int, bytes, list[tuple[str, str]]]:
        argocd = http.client.HTTPSConnection("argocd-server.argocd", context=ssl._create_unverified_context())
        kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")}
        argocd.request(self.command, self.path, body, kept)
        answer = argocd.getresponse()
        content = answer.read()
        argocd.close()
        return (
            answer.status,
            content,
            [(name, value) for name, value in answer.getheaders() if name.lower() not in OURS],
        )

    def answer(self, status: int, content: bytes, headers: Sequence[tuple[str, str]] = JSON) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(content)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = forward  # noqa: N815 (http.server's names)

    def log_message(self, *_: object) -> None:
        print(self.requestline, flush=True)


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tls/tls.pem")
    server = ThreadingHTTPServer(("", 8443), Balancer)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever).start()
