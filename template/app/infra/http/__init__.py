"""Requests that the service makes."""
