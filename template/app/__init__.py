"""The service. Its name stands here, and nowhere else in the code."""

NAME = "relay"
"""Names it by default in logs, traces and audiences of tokens, and always in the types of its problems."""
