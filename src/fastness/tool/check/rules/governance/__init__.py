"""Whether what is merged and shipped was looked at, and can be traced."""
