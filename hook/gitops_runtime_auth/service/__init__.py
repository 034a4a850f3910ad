"""Contains what long-running processes need: the keeper, health, metrics."""
