"""The hook as a process, against the real Argo CD and the real Kubernetes API, with faults in between.

``place`` prepares accounts and namespaces, ``release`` the files of a pod (``settings`` the settings, ``roles`` the
rights) and runs a command in it, ``proxy`` stands before either server and breaks what ``traffic`` tells it to, ``running``
is a keeper that runs on. ``test_matrix`` meets every request with faults; the other files have one question each.

Run inside the sandbox's network: ``python -m dev.sandbox exec -- python -m pytest tests/faults``. What is marked ``alone``
measures time and wants nothing else to run.
"""
