"""Which credential Argo CD refused, so that it is never sent again: five refusals lock the account."""

import hashlib
import hmac
import json
import os
from pathlib import Path

from gitops_runtime_auth import log
from gitops_runtime_auth.config.settings import Settings
from gitops_runtime_auth.errors import LoginRefusedError

FILE = Path("/tmp/refused-login")  # noqa: S108 (an emptyDir of the pod's own: it outlives the container)
_SALT = 16


class Refusals:
    """Remembers the last refused login as a salted scrypt hash, here and in ``file``, where a restart finds it."""

    def __init__(self, settings: Settings, file: Path = FILE) -> None:
        self._who = (settings.server.url, settings.auth.username)
        self._file = file
        self._known = _read(file)

    def check(self, password: str) -> None:
        """Raise LoginRefusedError if this very password was refused before."""
        if self._known and hmac.compare_digest(self._known, self._hash(password, self._known[:_SALT])):
            url, username = self._who
            raise LoginRefusedError(
                f"Argo CD at {url} refused the password of account {username}; it is not sent again.",
                "Put the right password in its Secret: it is noticed by itself. If it was right and the account only"
                " locked, restart this Deployment: kubectl rollout restart.",
            )

    def remember(self, password: str) -> None:
        """Note that Argo CD refused ``password``."""
        self._known = self._hash(password, os.urandom(_SALT))
        try:
            self._file.write_bytes(self._known)
        except OSError as e:
            log.warning(f"The refused login could not be noted in {self._file} ({e.strerror}).")

    def _hash(self, password: str, salt: bytes) -> bytes:
        text = json.dumps([*self._who, password]).encode()
        return salt + hashlib.scrypt(text, salt=salt, n=2**14, r=8, p=1)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
