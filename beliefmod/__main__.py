"""`python -m beliefmod`, the same as the `beliefmod` command."""

from beliefmod.cli import main

main()
