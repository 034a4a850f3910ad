"""Servers that speak HTTP and behave as the real ones do, for tests of whole commands.

``tests/faults/test_conversation.py`` asks them and the real servers the same, and compares the answers.
"""
