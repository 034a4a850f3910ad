"""Talking to Argo CD: requests, logins, refusals, certificates, tokens."""
