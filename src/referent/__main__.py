"""`python -m referent`, the same as the command `referent`."""

from referent.cli.main import main

main()
