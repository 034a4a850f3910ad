"""The hook as a process, against the real Argo CD and the real Kubernetes API, with faults in between.

``proxy`` breaks requests, ``place`` prepares accounts, namespaces and files and runs the hook.
Run inside the sandbox's network: ``python -m dev.sandbox exec -- python -m pytest tests/faults``.
"""
