"""Defines how long the product waits for what, in one frozen value that is handed in, so that tests patch nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Pauses and limits, all in seconds. The defaults are those of the product."""

    first_retry: float = 0.2
    """Ceiling of the pause before the first retry; it doubles with each further one."""
    longest_retry: float = 8.0
    """Ceiling of the pause before any retry."""
    request: float = 15.0
    """Timeout of a request to Argo CD, except for logins."""
    kubernetes_request: float = 10.0
    """Timeout of a request to the Kubernetes API; a watch may be silent for this much longer than it should last."""
    last_try: float = 1.0
    """Time by which a request may outlast its deadline, so that the last one has a chance to succeed."""
    event: float = 5.0
    """Time for writing an Event or emptying the record of refused passwords, including retries. A run must not be
    delayed for these."""
    fastest_verdict: float = 0.5
    """Argo CD delays its answer by at least this much if it has looked at the password (``verificationDelayNoiseMin``
    in ``util/session/sessionmanager.go``). A faster refusal is no verdict on the password."""
    jitter: float = 0.1
    """If identical requests differ by more than this, their timing proves nothing."""
    overload_passes: float = 15.0
    """Pause before a password is sent again of which it is unclear whether Argo CD has looked at it."""
    recording: float = 30.0
    """Time for which a refused run waits for the thread that loads the Kubernetes client, so that the refusal can be
    recorded. On a busy node this takes more than 5 s; without the record, an installer that retries sends the password
    again."""
    lockout: float = 330.0
    """Time before a refused password is sent again, because Argo CD forgets failed logins after 300 s
    (``ARGOCD_SESSION_FAILURE_WINDOW_SECONDS``)."""
    longest_lockout: float = 3600.0
    """Longest such time in the keeper, which doubles it with each further refusal, because nobody watches it."""
    fresh_shows: float = 10.0
    """Time for which another replica of argocd-server may not know a new key or capability yet."""
    capability_shows: float = 30.0
    """Time in which Argo CD must show a capability that was added to argocd-cm (0.3 s measured)."""
    capability_lasts: float = 3.0
    """Time in which a manager of argocd-cm undoes the change of somebody else (an operator: under 1 s measured)."""
    revocation: float = 20.0
    """Time for revoking one key. The Argo CD of an earlier configuration may no longer exist."""
    check: float = 45.0
    """Time for one check of the keeper, including retries and a slow login (40 s measured)."""
    look: float = 1.0
    """Pause between two looks at a mounted file, at a rollout, or at another run."""
    after_error: float = 5.0
    """Shortest pause of the keeper after a failed check."""
    stalls_after: float = 300.0
    """/healthz fails after this long without a turn of the main loop."""
    stand_by: float = 600.0
    """Longest time for which a keeper leaves the key to one with newer settings."""
    moved_again: float = 3600.0
    """Pause before another try to revoke a key of a server that could not be reached."""
    storm_window: float = 600.0
    """Three losses of the key within this time mean that somebody resets the account's keys again and again."""
    storm_first_pause: float = 30.0
    """Pause before the next key after these losses; each further loss doubles it."""
    storm_settles: float = 60.0
    """While keys are reset, consumers are restarted only for a key that has been valid for this long."""
    storm_longest_pause: float = 600.0
    """Longest pause between two keys while keys are reset."""
    leaving: float = 10.0
    """Time for which a keeper that has to stop waits to see whether its namespace is being deleted."""
    watch: float = 240.0
    """Length of one watch of the Kubernetes API."""
    agent_interval: float = 10.0
    """Pause between two checks of the connection agent."""
    agent_patience: float = 5.0
    """Time for one check of the connection agent, after which Argo CD counts as unreachable."""
    probe_request: float = 5.0
    """Longest connection to the HTTP endpoints of a long-running command, whatever the client does."""
    idle_connection: float = 600.0
    """Time after which a long-running command closes connections that it does not use."""
    terminates: float = 5.0
    """Time after SIGTERM in which a command can end its session. The Pod's ``terminationGracePeriodSeconds`` must be
    longer: 10 for a Job."""
    finishes_check: float = 80.0
    """Time after SIGTERM in which the keeper can finish its present check, report it, and revoke the keys if its
    namespace is being deleted. After that it ends like a Job. Its ``terminationGracePeriodSeconds`` must be longer
    than both together: 90."""
