"""What the command tells the shell; 0 is success."""

SOME_FAILED = 1
WRONG_CALL = 2
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells count."""
