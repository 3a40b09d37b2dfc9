"""The parts of a tracker: its objects, what it remembers of them, and the rules by which it decides."""
