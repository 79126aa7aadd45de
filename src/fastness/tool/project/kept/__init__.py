"""What answers were read from, and what of them outlives a run: notes of functions, and what an edit leaves of them."""
