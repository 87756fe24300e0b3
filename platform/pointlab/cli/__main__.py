"""`python -m pointlab.cli`: the same as `pointlab`."""

from pointlab.cli import main

main()
