"""Talking to Kubernetes: objects, the key Secret, Events, rollouts, watches."""
