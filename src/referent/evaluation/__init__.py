"""Scores of predictions: named protocols, metrics with intervals, and the run that makes a result file."""
