"""The verb `receipt`: what a sweep's memory was estimated, reserved and used."""

from __future__ import annotations

from rich.console import Console

from analysis.results.memory import Receipt, receipt
from sweeps.cli.stored_sweep import load_results
from sweeps.console import Output, text_table
from sweeps.studies.library import StudyArguments


def show_receipt(output: Output, study: StudyArguments) -> None:
    """Print the receipt of a study's results."""
    stored = load_results(*study)
    made = receipt(stored.state, stored.sweep)
    output.show(made.to_json(), lambda out: _print_receipt(out, made))


def _print_receipt(out: Console, made: Receipt) -> None:
    table = text_table("arm", "predicted", "may use", "measured", "error", "out of memory", right=[1, 2, 3, 4, 5])
    for arm in made.arms:
        sizes = (
            f"{size:.0f} MiB" if size is not None else "–"
            for size in (arm.predicted_mib, arm.reserved_mib, arm.measured_mib)
        )
        table.add_row(arm.arm, *sizes, "–" if arm.error is None else f"{arm.error:+.0%}", str(arm.num_ooms))
    out.print(table)
    out.print(
        "predicted: the estimate, corrected by what was measured before; may use: the limit at which a trial fails "
        "alone instead of hurting others; measured: the highest peak",
        markup=False,
    )
    out.print(f"\n{made.in_words()}", markup=False)
