"""Prints the table of agreement with the authors' own modules; exits with 1 if a row disagrees."""

from __future__ import annotations

import sys

from tests.parity.rows import ROWS


def main() -> int:
    """Measure every row, print it, and return the exit status."""
    disagreeing = 0
    for row in ROWS:
        differences = row.measure()
        agrees = row.agrees(differences)
        disagreeing += not agrees
        numbers = "  ".join(f"{name} {value:.1e}" for name, value in differences.items())
        print(f"{'agrees ' if agrees else 'DIFFERS'}  {row.section:5} {row.what}: {numbers}")
    print(f"{len(ROWS) - disagreeing} of {len(ROWS)} rows agree")
    return 1 if disagreeing else 0


if __name__ == "__main__":
    sys.exit(main())
