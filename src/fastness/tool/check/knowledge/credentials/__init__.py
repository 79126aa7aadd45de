"""Secrets in sources, and what refuses them."""
