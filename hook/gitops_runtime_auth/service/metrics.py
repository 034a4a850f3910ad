"""Defines the metrics: whether the key works, how old it is, keys made and refused, and how long Argo CD takes."""

import math
import time
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Info

from gitops_runtime_auth.argocd.http import Answer, Transport
from gitops_runtime_auth.errors import AuthError, RetryableError, WrongServerError

_PREFIX = "gitops_runtime_auth"

KEY_VALID = Gauge(f"{_PREFIX}_key_valid", "1 if Argo CD accepts the key, 0 if it does not, NaN before the first answer")
KEY_VALID.set(math.nan)  # because a process that starts while Argo CD is down has seen no refusal
KEY = Info(f"{_PREFIX}_key", "Secret and key that contain the API key")
KEY_AGE = Gauge(f"{_PREFIX}_key_age_seconds", "Age of the API key")
KEY_EXPIRES = Gauge(f"{_PREFIX}_key_expires_timestamp_seconds", "Unix time at which the key expires, NaN if never")
KEY_EXPIRES.set(math.nan)
KEY_LOSSES = Counter(f"{_PREFIX}_key_losses", "Number of keys that somebody else revoked")
KEYS_RESET = Gauge(f"{_PREFIX}_keys_reset_by_others", "1 while somebody else resets the account's keys again and again")
ARGOCD_UP = Gauge(f"{_PREFIX}_argocd_up", "1 if the last request reached Argo CD")
LAST_CHECK = Gauge(f"{_PREFIX}_last_check_timestamp_seconds", "Unix time of the last check that Argo CD answered")
REGENERATIONS = Counter(f"{_PREFIX}_regenerations", "Number of API keys that the keeper made")
REFUSALS = Counter(f"{_PREFIX}_refusals", "Number of keys and logins that Argo CD refused", ["what"])
REQUESTS = Histogram(f"{_PREFIX}_argocd_request_seconds", "Duration of requests to Argo CD", ["method"])


def answered(*, valid: bool) -> None:
    """Count a check that Argo CD answered. ``valid`` says whether it accepts the key."""
    if not valid:
        REFUSALS.labels("key").inc()
    KEY_VALID.set(valid)
    LAST_CHECK.set(time.time())


def expires(expires_at: int) -> None:
    """Set the time at which the key expires, in Unix seconds, 0 for never."""
    KEY_EXPIRES.set(expires_at or math.nan)


class MeasuredTransport(Transport):
    """A Transport that measures how long each request takes, and whether it reached Argo CD."""

    def send(self, method: str, path: str, **how: Any) -> Answer:
        """Send one request as Transport does. Argo CD counts as not reached if another server or nothing answers."""
        try:
            with REQUESTS.labels(method).time():
                answer = super().send(method, path, **how)
        except AuthError as e:
            ARGOCD_UP.set(not isinstance(e, RetryableError | WrongServerError))
            raise
        ARGOCD_UP.set(1)
        return answer
