"""How long the product waits for what. One frozen value, handed in, so that tests need not patch constants."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Waits and bounds, all in seconds. The defaults are what users get."""

    first_retry: float = 0.2
    """Ceiling of the first pause between two tries; each further one doubles it."""
    longest_retry: float = 8.0
    """Ceiling of any pause between two tries."""
    request: float = 15.0
    """Longest request to Argo CD, logins apart."""
    kubernetes_request: float = 10.0
    """Longest request to the Kubernetes API, and how much longer than its length a watch may be silent."""
    event: float = 5.0
    """Longest time for writing an Event, retries included: it is never worth holding a run up."""
    fastest_verdict: float = 0.5
    """Argo CD delays each login that it looks at by at least this much (``verificationDelayNoiseMin`` in
    ``util/session/sessionmanager.go``); a refusal that comes sooner never looked at the password."""
    jitter: float = 0.1
    """If identical requests differ by more than this, their timing proves nothing."""
    overload_passes: float = 15.0
    """Pause before a password is sent again that may or may not have been looked at."""
    recording: float = 30.0
    """A refusal waits at most this long for the thread that loads the Kubernetes client, in order to be recorded: on a
    busy node that takes more than 5 s, and what is not recorded is sent again by an installer that retries."""
    lockout: float = 330.0
    """A refused password is not sent again before this has passed: Argo CD forgets failed logins after 300 s
    (``ARGOCD_SESSION_FAILURE_WINDOW_SECONDS``)."""
    longest_lockout: float = 3600.0
    """The keeper, which nobody watches, waits twice as long after each further refusal, up to this."""
    fresh_shows: float = 10.0
    """A key or capability that was just made may be unknown to another replica of argocd-server for this long."""
    capability_shows: float = 30.0
    """Argo CD must show a capability that was added to argocd-cm within this (0.3 s measured)."""
    capability_lasts: float = 3.0
    """Whoever manages argocd-cm takes a foreign change back within this (an operator: under 1 s measured)."""
    revocation: float = 20.0
    """Longest time for revoking one key: the Argo CD of an earlier configuration may be gone for good."""
    check: float = 45.0
    """Longest check of the keeper, retries and a slow login (40 s measured) included."""
    look: float = 1.0
    """Pause between two looks at a mounted file, at a rollout, or at something under way."""
    after_error: float = 5.0
    """Shortest pause of the keeper after a check that failed."""
    stalls_after: float = 300.0
    """/healthz fails after this long without a turn of the main loop."""
    stand_by: float = 600.0
    """Longest time for which a keeper leaves the key to one with newer settings."""
    moved_again: float = 3600.0
    """Pause before another try to revoke a key of a server that could not be reached."""
    storm_window: float = 600.0
    """Three losses of the key within this mean that somebody resets the account's keys again and again."""
    storm_first_pause: float = 30.0
    """Pause before the next key once that is so; each further loss doubles it."""
    storm_settles: float = 60.0
    """During such a time consumers are restarted only for a key that has lived this long."""
    storm_longest_pause: float = 600.0
    """Longest pause between two keys while somebody resets them."""
    leaving: float = 10.0
    """How long a keeper that is told to stop waits to see whether its namespace is being deleted."""
    watch: float = 240.0
    """Length of one watch of the Kubernetes API."""
    agent_interval: float = 10.0
    """Pause between two checks of the connection agent."""
    agent_patience: float = 5.0
    """Longest check of the connection agent before Argo CD counts as unreachable."""
    probe_request: float = 5.0
    """Longest connection to the HTTP endpoints of a long-running command, whatever the client does."""
    idle_connection: float = 600.0
    """A long-running command closes the connections to a server that it has not used for this long."""
    terminates: float = 5.0
    """After SIGTERM a command has this long to end its session. The Pod's ``terminationGracePeriodSeconds`` must be
    longer: 10 for a Job."""
    finishes_check: float = 80.0
    """After SIGTERM the keeper has this long to finish its present check, tell of it, and revoke the keys if its
    namespace is being deleted; then it is ended like a Job. Its ``terminationGracePeriodSeconds`` must be longer than
    both together: 90."""
