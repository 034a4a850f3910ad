"""What people who work on the project run: the sandbox, the demo, the bench, the checks, the release.

Tests import from here; nothing here imports from the tests.
"""
