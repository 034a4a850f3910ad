"""Contains programs for people who work on the project: sandbox, demo, bench, checks and release.

Tests import from here; nothing here imports from the tests.
"""
