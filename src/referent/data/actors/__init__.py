"""A2D and JHMDB sentences: expressions about actors in videos, scored frame by frame as pictures."""
