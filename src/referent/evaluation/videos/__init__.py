"""Scores of what is followed through videos: measures, protocols, runs, results."""
