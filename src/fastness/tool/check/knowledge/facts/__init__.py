"""What a service is made of, and how it is delivered."""
