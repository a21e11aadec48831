"""`python -m sweeps`, the same as `phasesweep`."""

from sweeps.cli import main

main()
