"""The HTTP interface: schema in, one call of a service, schema out. No SQL, no commit, no business rule."""
