"""What the fuzzing tests draw from, and what every failure must be like."""

import base64
import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from gitops_runtime_auth.errors import AuthError

# How long an example takes says something of the machine only; whoever imports this module is freed of it.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

FAILURES = (64, 69, 75, 77, 78)
"""The exit codes of ``errors``, beside 0."""

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FUTURE = 32503680000
TIMES: st.SearchStrategy[Any] = st.sampled_from([0, None, FUTURE, 1, -1, 1.5, 1e300, "1", True, []])
SUBJECTS: st.SearchStrategy[Any] = st.sampled_from(
    ["admin:apiKey", "a:b:apiKey", ":apiKey", "admin:login", "a:x", "a", None, 1, []]
)
CLAIMS = st.fixed_dictionaries(
    {"iss": st.sampled_from(["argocd", "argocd", "argocd", "dex", "", None, 1]), "sub": SUBJECTS},
    optional={"jti": JSON, "exp": TIMES, "nbf": TIMES, "iat": TIMES},
)
"""Those of tokens that are nearly right, and of some that are."""


def unsigned(claims: Any) -> str:
    """Return a token that says ``claims``: nobody but Argo CD looks at its signature."""

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.c2ln"


TOKEN = CLAIMS.map(unsigned)


def told(error: AuthError) -> None:
    """Assert that an error is one of the list, in two sentences."""
    assert error.exit_code in FAILURES
    assert error.problem.endswith(".")
    assert error.remedy.endswith(".")
    assert len(error.problem) < 1000
