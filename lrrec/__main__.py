"""`python -m lrrec` is the command line."""

from lrrec.cli import main

main()
