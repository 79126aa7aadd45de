"""What goes in and out of endpoints."""
