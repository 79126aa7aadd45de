"""The second ring: what developers run. The runtime never imports it."""
