"""Whether tests would notice that the service is broken."""
