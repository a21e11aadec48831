"""Print how near `fidelity: as_published` comes to what the authors' own modules gave.

A row is a part of a published system, rebuilt with the published weights and given the published inputs. Each
quantity (`out`: outputs, `grad`: gradients) is printed as `value <= limit`: the largest difference from the
authors' numbers, and the largest that counts as agreement. Most numbers are float64; limits above 1e-09 are those
of float32, or of the digits that were published. Rows with a unit in brackets compare statistics of random draws.
Where the authors left a rule and no module, the rule is written out.
"""

from __future__ import annotations

import argparse
import sys

from tests.parity.row import Row
from tests.parity.rows import FAMILIES


def main(arguments: list[str] | None = None) -> int:
    """Measure the rows, print them, and return the exit status: 1 if a row disagrees."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.parity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", choices=FAMILIES, help="print the rows of one family only")
    chosen = parser.parse_args(arguments).family
    print(__doc__)
    agreements = []
    for name, family in FAMILIES.items():
        if chosen not in (None, name):
            continue
        print(f"{name}, beside {family.published}")
        agreements += [_print(row) for row in family.rows]
        for part in family.nothing_to_compare:
            print(f"  nothing to compare with  {part}")
        print()
    print(f"{sum(agreements)} of {len(agreements)} rows agree")
    return 0 if all(agreements) else 1


def _print(row: Row) -> bool:
    """Print a row, and return whether it agrees."""
    differences = row.measure()
    agrees = row.agrees(differences)
    numbers = ", ".join(
        f"{name} {value:.2g} {'<=' if value <= row.limit(name) else '>'} {row.limit(name):g}"
        for name, value in differences.items()
    )
    unit = f" [in {row.statistic}]" if row.statistic else ""
    print(f"  {'agrees' if agrees else 'DIFFERS':7}  {row.what}{unit}: {numbers}")
    return agrees


if __name__ == "__main__":
    sys.exit(main())
