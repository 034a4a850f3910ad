"""How a run must end that met a fault: by itself in the good end, or with which exit code, and why."""

from tests.faults.roles import REFUSED
from tests.faults.scenarios import SCENARIOS
from tests.faults.traffic import BREAKS, HANDSHAKES, HANG, KILLS

KILLED = -9
LOGIN, LOGOUT = "argocd POST /api/v1/session", "argocd GET /auth/logout"
READ, WRITE = (f"kubernetes {verb} /configmaps/{REFUSED}" for verb in ("GET", "PUT"))
"""The record of a refused password: a login is recorded in it beforehand, and what succeeds empties it."""
HEALS = ("408", "429", "500-unavailable", "502", "503", "504", *BREAKS, *HANDSHAKES)
"""Kinds that waiting mends: the run itself comes to its good end."""
NEVER_FAIL = ("retire", "cleanup", "rollback", "leave")
"""Commands after which Helm must go on, and the keeper's end: what they could not do is a warning."""
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
        "gateway-401": (78, "not Argo CD's words, so no verdict"),
        "garbage": (78, "not Argo CD's API"),
        "list": (78, "not Argo CD's API"),
        "hang": (69, "the request's own time is longer than the run's"),
    },
    "kubernetes": {
        "500": (0, "an API server without its etcd says this: it is waited for"),
        "html": (75, "a proxy in between: what to check is said"),
        "redirect": (75, "the same"),
        "gateway-401": (77, "a proxy in between, which refuses"),
        "garbage": (75, "the same"),
        "list": (75, "the same"),
        "hang": (69, "the request's own time is longer than the run's"),
    },
}
"""By side and kind: the exit code, and why waiting would not mend it."""
DOUBTFUL = ("reset", "lost", "truncated", "408", "500-unavailable", "502", "503", "504", "hang")
"""Kinds after which Argo CD may have looked at a password, for all that the client knows."""


def empties_the_record(scenario: str, step: str, occurrence: int) -> bool:
    """Tell whether a request belongs to what follows a login that succeeded, and where a fault is only a warning."""
    made_anew = scenario == "install"  # what is there already is replaced, once before the login and once after it
    return (step == READ and occurrence > 1) or (step == WRITE and occurrence == (1 if made_anew else 2))


def leaves_the_record(scenario: str, step: str, occurrence: int, kind: str) -> bool:
    """Tell whether the record of a login that succeeded may stay: it counts for no more than 330 s."""
    return empties_the_record(scenario, step, occurrence) and kind in BROKEN["kubernetes"] and kind != "500"


def expected(scenario: str, step: str, occurrence: int, kind: str) -> int:
    """Return the exit code of a run that met ``kind`` at the ``occurrence``-th time of ``step``."""
    command, usual = SCENARIOS[scenario].command, SCENARIOS[scenario].code
    if kind in KILLS:
        return KILLED
    if command in NEVER_FAIL or step in ONLY_A_WARNING or empties_the_record(scenario, step, occurrence):
        return usual
    if command == "keep" and step == LOGIN and kind in DOUBTFUL:
        return 75  # the keeper sends no password twice
    if step == LOGIN and kind == HANG:
        return 75  # the password may have been looked at, so that there is no trying again
    if kind in HEALS:
        return usual
    code = BROKEN[step.partition(" ")[0]][kind][0]
    return code if command == "ensure" or code == 0 else 75  # one check of the keeper knows 0 and 75 only
