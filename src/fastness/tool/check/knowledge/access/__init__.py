"""Who may call what: guards and the ways around them, what is public, and limits in front of it."""
