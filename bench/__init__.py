"""Measurements of Fastness beside what it is compared with; each is one command of `scripts/bench`."""
