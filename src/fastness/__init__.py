"""Fastness takes a FastAPI app to production and proves that it is ready.

Nothing is imported here: each piece is adopted, and paid for, by importing its own module.
"""
