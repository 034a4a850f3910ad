"""Authenticates a GitOps Runtime to an existing Argo CD: the code that runs in the chart's Jobs and pods.

Read in this order: ``cli`` (commands) -> ``ensure`` (the story of the install hook) -> ``keys`` (how a key is
found, made and retired) -> ``argocd`` with ``login``, and ``apiserver`` (the two APIs).
"""
