"""Use cases: each method is one thing that a caller can do, and owns its transaction."""
