"""Talks to Argo CD: addresses, requests, logins, refusals, certificates, proxies, tokens."""
