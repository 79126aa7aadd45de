"""What runs on the event loop, and which calls of libraries hold it or do work that must not get lost."""
