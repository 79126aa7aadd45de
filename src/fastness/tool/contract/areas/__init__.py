"""The areas of OpenAPI that clients depend on, one module each. Nothing but `compare` runs them."""
