"""What clients are told: answers, and the exceptions whose texts get into them."""
