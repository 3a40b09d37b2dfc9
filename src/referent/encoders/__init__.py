"""Pixels or tokens to features, and the public weights of the encoders."""
