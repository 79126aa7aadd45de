"""Who may do what, and what leaks."""
