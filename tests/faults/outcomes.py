"""How a run must end that met a fault: by itself in the good end, or with which exit code, and why."""

from tests.faults.proxy import BREAKS, HANDSHAKES, KILLS

KILLED = -9
LOGIN, LOGOUT = "argocd POST /api/v1/session", "argocd GET /auth/logout"
RetryableError = ("408", "429", "500-unavailable", "502", "503", "504", *BREAKS, *HANDSHAKES)
"""Kinds that waiting mends: the run itself comes to its good end."""
NEVER_FAIL = ("retire", "cleanup")
"""Commands after which Helm must go on: what they could not do is a warning."""
ONLY_A_WARNING = {
    LOGOUT: "a session ends by itself within a day",
    "argocd GET /api/v1/account/can-i/applications/get/*/*": "asked for a warning, once the key is stored",
    "kubernetes POST /events": "an Event tells what the log tells too",
}
"""Requests that no fault may fail a run at, and why."""
BROKEN: dict[str, dict[str, tuple[int, str]]] = {
    "argocd": {
        "500": (75, "a code that is no transient one"),
        "html": (78, "a login page, not Argo CD"),
        "redirect": (78, "never followed with a credential"),
        "garbage": (78, "not Argo CD's API"),
        "list": (78, "not Argo CD's API"),
        "hang": (69, "the request's own time is longer than the run's"),
    },
    "kubernetes": {
        "500": (0, "an API server without its etcd says this: it is waited for"),
        "html": (75, "a proxy in between: what to check is said"),
        "redirect": (75, "the same"),
        "garbage": (75, "the same"),
        "list": (75, "the same"),
        "hang": (69, "the request's own time is longer than the run's"),
    },
}
"""By side and kind: the exit code, and why waiting would not mend it."""


def expected(command: str, step: str, kind: str) -> int:
    """Return the exit code of a run of ``command`` that met ``kind`` at ``step``."""
    if kind in KILLS:
        return KILLED
    if kind in RetryableError or command in NEVER_FAIL or step in ONLY_A_WARNING:
        return 0
    return BROKEN[step.partition(" ")[0]][kind][0]
