"""Small servers that answer as the real ones do; ``tests/faults/test_conversation.py`` compares them with those."""
