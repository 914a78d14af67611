"""``python -m nomul``: the command line."""

from nomul.cli import main

main()
