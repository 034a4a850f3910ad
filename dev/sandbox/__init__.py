"""Makes a real Kubernetes cluster with a real Argo CD on a Debian machine, from Debian packages and Go modules only.

``python -m dev.sandbox up`` makes it. Everything runs in one network namespace; everything it keeps is under
``paths.STATE`` (gone with ``down``) and ``paths.CACHE`` (programs and images, kept).
"""
