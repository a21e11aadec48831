"""`python -m sweeps`, the same as `phasesweep`."""

from sweeps.cli.app import main

main()
