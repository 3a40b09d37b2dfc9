"""Samples and the files that they come from. Knows nothing of models."""
