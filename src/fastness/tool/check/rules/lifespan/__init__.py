"""What opens when the service starts, and closes when it ends."""
