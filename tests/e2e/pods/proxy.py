"""A forward proxy, as a pod: prints each CONNECT and pumps."""

import contextlib
import socket
import threading


def pump(a: socket.socket, b: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := a.recv(65536):
            b.sendall(chunk)
        b.shutdown(socket.SHUT_WR)


def serve(near: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += near.recv(1)
    print(head.split(b"\r\n")[0].decode(), flush=True)
    host, port = head.split()[1].decode().rsplit(":", 1)
    far = socket.create_connection((host, int(port)))
    near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    threading.Thread(target=pump, args=(far, near), daemon=True).start()
    pump(near, far)


if __name__ == "__main__":
    listener = socket.create_server(("", 3128))
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
