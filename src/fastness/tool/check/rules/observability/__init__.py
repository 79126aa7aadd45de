"""Whether those who run the service can see what it does."""
