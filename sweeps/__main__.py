"""The command `phasesweep`, and `python -m sweeps`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is imported is one line too."""
    try:
        from sweeps.cli.app import main as run
    except KeyboardInterrupt:
        sys.stderr.write("\nphasesweep: interrupted\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
