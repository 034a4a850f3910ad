"""Authenticates a GitOps Runtime to an existing Argo CD: the code that runs in the chart's Jobs and Pods.

Begin with ``commands.ensure``, the hook before an install. It uses ``config`` (what the user set), ``argocd`` and
``kube`` (the two APIs), and ``keys`` (issue, check and revoke an API key). ``service`` contains what the keeper needs
besides, ``preflight`` what only ``check`` does on the user's own machine.
"""
