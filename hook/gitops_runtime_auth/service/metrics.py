"""What Prometheus sees: whether the key works, how old it is, what was done about it, how long Argo CD takes."""

import math
import time
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Info

from gitops_runtime_auth.argocd.http import Answer, Transport
from gitops_runtime_auth.errors import AuthError, RetryableError

_PREFIX = "gitops_runtime_auth"

KEY_VALID = Gauge(f"{_PREFIX}_key_valid", "1 while Argo CD accepts the key, 0 when it does not")
KEY_VALID.set(math.nan)  # not asked yet: a process that starts while Argo CD is down has no refusal to tell of
KEY = Info(f"{_PREFIX}_key", "Where the key is: the Secret to look at, or to replace")
KEY_AGE = Gauge(f"{_PREFIX}_key_age_seconds", "Age of the API key")
ARGOCD_UP = Gauge(f"{_PREFIX}_argocd_up", "1 when the last request reached Argo CD")
LAST_CHECK = Gauge(f"{_PREFIX}_last_check_timestamp_seconds", "Unix time of the last check that Argo CD answered")
REGENERATIONS = Counter(f"{_PREFIX}_regenerations", "API keys that the keeper made")
REFUSALS = Counter(f"{_PREFIX}_refusals", "What Argo CD refused: a key or a login", ["what"])
REQUESTS = Histogram(f"{_PREFIX}_argocd_request_seconds", "Duration of requests to Argo CD", ["method"])


def answered(valid: bool) -> None:
    """Note a check that Argo CD answered."""
    if not valid:
        REFUSALS.labels("key").inc()
    KEY_VALID.set(valid)
    LAST_CHECK.set(time.time())


class MeasuredTransport(Transport):
    """A Transport that notes how long each request takes, and whether it reached Argo CD."""

    def send(self, method: str, path: str, **how: Any) -> Answer:
        """See Transport."""
        try:
            with REQUESTS.labels(method).time():
                answer = super().send(method, path, **how)
        except AuthError as e:
            ARGOCD_UP.set(not isinstance(e, RetryableError))
            raise
        ARGOCD_UP.set(1)
        return answer
