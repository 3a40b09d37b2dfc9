"""The weights that ship inside the package, each with its card."""
