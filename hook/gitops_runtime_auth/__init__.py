"""Authenticates a GitOps Runtime to an existing Argo CD: the code that runs in the chart's Jobs and Pods.

Begin with ``commands.ensure``, the hook before an install: it reads downwards through ``config`` (what the user said),
``argocd`` and ``kube`` (the two APIs), ``keys`` (issue, check and revoke an API key). ``service`` holds what the keeper
needs beside that, ``preflight`` what only ``check`` does on a user's own machine.
"""
