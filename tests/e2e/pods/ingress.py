"""An ingress before Argo CD, as a pod: HTTP/1.1 alone on 8443, and of that gRPC-Web alone on 8444."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path

REFUSAL = b"HTTP/1.1 415 Unsupported Media Type\r\nContent-Length: 13\r\nConnection: close\r\n\r\ngRPC-Web only"


def pump(a: socket.socket, b: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := a.recv(65536):
            b.sendall(chunk)


def serve(raw: socket.socket, only_grpc_web: bool) -> None:
    near = context.wrap_socket(raw, server_side=True)
    head = near.recv(65536)
    print(near.selected_alpn_protocol(), head.split(b"\r\n")[0].decode(), flush=True)
    if only_grpc_web and b"application/grpc-web" not in head:
        near.sendall(REFUSAL)
        near.close()
        return
    far = behind.wrap_socket(socket.create_connection(("argocd-server.argocd", 443)))
    far.sendall(head)
    threading.Thread(target=pump, args=(far, near), daemon=True).start()
    pump(near, far)


def listen(port: int, only_grpc_web: bool) -> None:
    listener = socket.create_server(("", port))
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], only_grpc_web), daemon=True).start()


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tls/tls.pem")
    context.set_alpn_protocols(["http/1.1"])
    behind = ssl._create_unverified_context()
    folder = Path(ssl.get_default_verify_paths().capath or "/nowhere")
    print(len(list(folder.glob("*.0"))), "public CAs", flush=True)
    threading.Thread(target=listen, args=(8444, True), daemon=True).start()
    listen(8443, False)
