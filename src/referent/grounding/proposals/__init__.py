"""Where the boxes come from among which an expression chooses."""
