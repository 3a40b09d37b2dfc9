"""Dependency parses of expressions: what a parse is, and where parses come from."""
