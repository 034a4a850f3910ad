"""An ingress before Argo CD, as a pod.

HTTP/1.1 alone on 8443, and of that gRPC-Web alone on 8444. On 8445 it asks for a client certificate and, as an
identity-aware proxy does, for a header, and speaks plain HTTP to an Argo CD that was started with ``--insecure``.
"""

import contextlib
import socket
import ssl
import threading
from pathlib import Path

REFUSAL = b"HTTP/1.1 415 Unsupported Media Type\r\nContent-Length: 13\r\nConnection: close\r\n\r\ngRPC-Web only"
SIGN_IN = (
    b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/html\r\nContent-Length: 7\r\nConnection: close\r\n\r\nSign in"
)


def pump(a: socket.socket, b: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := a.recv(65536):
            b.sendall(chunk)


def passed(near: ssl.SSLSocket, head: bytes, port: int) -> bool:
    if port == 8444 and b"application/grpc-web" not in head:
        near.sendall(REFUSAL)
        return False
    if port == 8445 and b"\r\nx-proxy-key: a-key-for-the-proxy\r\n" not in head.lower():
        near.sendall(SIGN_IN)
        return False
    return True


def serve(raw: socket.socket, port: int) -> None:
    try:
        near = (guarded if port == 8445 else context).wrap_socket(raw, server_side=True)
        head = near.recv(65536)
    except OSError as e:
        print(f"refused: {e}", flush=True)
        return
    print(near.selected_alpn_protocol(), head.split(b"\r\n")[0].decode(), flush=True)
    if not passed(near, head, port):
        near.close()
        return
    far = socket.create_connection(("argocd-insecure.argocd", 80) if port == 8445 else ("argocd-server.argocd", 443))
    far = far if port == 8445 else behind.wrap_socket(far)
    far.sendall(head)
    threading.Thread(target=pump, args=(far, near), daemon=True).start()
    pump(near, far)


def listen(port: int) -> None:
    listener = socket.create_server(("", port))
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], port), daemon=True).start()


def server_context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain("/tls/tls.pem")
    made.set_alpn_protocols(["http/1.1"])
    return made


if __name__ == "__main__":
    context = server_context()
    guarded = server_context()
    guarded.verify_mode = ssl.CERT_REQUIRED
    guarded.load_verify_locations("/tls/ca.crt")
    behind = ssl._create_unverified_context()
    folder = Path(ssl.get_default_verify_paths().capath or "/nowhere")
    print(len(list(folder.glob("*.0"))), "public CAs", flush=True)
    for port in (8444, 8445):
        threading.Thread(target=listen, args=(port,), daemon=True).start()
    listen(8443)
