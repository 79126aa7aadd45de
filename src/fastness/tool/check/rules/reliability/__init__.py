"""Errors, timeouts and retries."""
