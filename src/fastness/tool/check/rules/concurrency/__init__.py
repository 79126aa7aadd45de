"""What runs where: the event loop, threads, background tasks and module state."""
