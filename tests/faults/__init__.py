"""The hook as a process, against the real Argo CD and the real Kubernetes API, with faults in between.

``place`` prepares accounts and namespaces. ``release`` prepares the files of a pod (``settings`` its settings,
``roles`` its rights) and runs a command with them. ``proxy`` stands before either server and breaks what ``traffic``
tells it to. ``running`` is a keeper that runs on. ``test_matrix`` meets every request with faults; every other file has
one question.

Run inside the sandbox's network: ``python -m dev.sandbox exec -- python -m pytest tests/faults``. Tests that are marked
``alone`` measure time, so nothing else is to run beside them.
"""
