"""Pieces that two models or more share."""
