"""What long-running processes need: the keeper, health, metrics, connections."""
