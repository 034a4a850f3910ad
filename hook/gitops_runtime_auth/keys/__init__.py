"""Issues, checks and revokes API keys."""
