"""Layers, and what belongs in which."""
