"""Passwords of Argo CD accounts that tests make."""

import time

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.errors import AuthError


def set_password(argocd: ArgoCD, session: str, admins: str, name: str, password: str) -> None:
    """Give account ``name`` a password, as the admin with ``session``, whose own is ``admins``.

    Argo CD follows its ConfigMap by an informer, so an account that was just added is waited for. Raises AuthError.
    """
    body = {"name": name, "newPassword": password, "currentPassword": admins}
    until = time.monotonic() + 15
    while True:
        try:
            argocd.send("PUT", "/api/v1/account/password", bearer=session, body=body, timeout=10)
            return
        except AuthError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
