"""Data sets of videos: frames in a folder, objects with masks on some or all frames, expressions."""
