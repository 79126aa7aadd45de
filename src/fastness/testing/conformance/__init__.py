"""One suite per seam, which every implementation must pass. Subclass it in a test module; needs `pytest` and `hypothesis`."""
