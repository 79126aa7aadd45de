"""Who calls whom, and which calls are made with the literals that a call gives."""
