"""Talks to Kubernetes: objects and their errors, the key Secret, Events, rollouts, watches."""
