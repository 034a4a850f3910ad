"""Records logins of ``check`` that were refused or not answered, on this machine, as salted slow hashes.

Argo CD locks an account after five refusals within five minutes. The hook records a refusal in a ConfigMap of the
release, but ``check`` changes nothing in the cluster, and may be run again and again by hand or by a pipeline.
"""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from gitops_runtime_auth import log
from gitops_runtime_auth.keys import lockout
from gitops_runtime_auth.keys.lockout import Record

_MOST = 20
"""Number of records that are kept, the latest ones."""


def read() -> tuple[Record, ...]:
    """Return the records; a file that can't be read counts as empty."""
    try:
        lines = _file().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(record for record in map(lockout.parse, lines) if record is not None)


def note(record: Record) -> None:
    """Record one more login. A failure is a warning, because the check has failed anyway."""
    lines = [json.dumps(asdict(known)) for known in (*read(), record)[-_MOST:]]
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        # Only this user can read the file, and it is replaced as a whole, because another check may be reading it.
        with tempfile.NamedTemporaryFile("w", dir=_file().parent, delete=False, encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        Path(file.name).replace(_file())
    except OSError as e:
        log.warning(f"The refused login could not be recorded in {_file()} ({e.strerror}). Do not send it again soon.")


def _file() -> Path:
    """Return the file's path, in the user's cache folder of the XDG Base Directory Specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "gitops-runtime-auth", "refused-logins")
