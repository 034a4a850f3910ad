"""Names the folders of the sandbox."""

import os
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gitops-runtime-auth"
"""Programs and images, keyed by version and recipe; costly to make, safe to delete."""

STATE = Path("/var/lib/gitops-runtime-auth-sandbox")
"""Everything of a running sandbox. Short on purpose: Unix sockets below it must stay under 108 characters."""

LOGS = STATE / "log"
PKI = STATE / "pki"
KUBECONFIG = STATE / "kubeconfig"
TOOLS = Path(__file__).parent / "tools"
"""One folder per Go tool with its go.mod and go.sum."""
