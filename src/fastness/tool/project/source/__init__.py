"""One source file: its tree, the scopes in it, and its outline, which tells of them without reading."""
