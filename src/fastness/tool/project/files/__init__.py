"""Which files there are, Python and others, how imports join them, and what they say of versions."""
