"""Work that outlives its request: what workers run, and how it gets to them."""
