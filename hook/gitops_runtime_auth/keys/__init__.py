"""The life of an API key: issued, checked, revoked."""
