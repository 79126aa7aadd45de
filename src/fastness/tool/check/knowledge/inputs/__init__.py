"""What clients send, and where it ends up."""
