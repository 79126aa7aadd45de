"""How the service runs, is probed and stops."""
