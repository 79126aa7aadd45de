"""What runs in the project's own interpreter: the only code of the tool that touches FastAPI's internals.

This package is not installed there, and that Python and that FastAPI may be old: modules here import each other relatively, the
standard library (as of Python 3.8), and FastAPI, which they find as the project has it. What they learn leaves as JSON, in a
file of its own, because the app may print. `fastness.tool.boot` starts it and reads what it wrote.
"""
