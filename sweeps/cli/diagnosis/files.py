"""The files that `diagnose` and `export` write beside figures, in the schemas of the long-context experiments.

Source:
    π-spiral experiments, logging schema: system.csv, positional_diag.csv.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from analysis.report.plotting import FORMATS
from analysis.results.published import SYSTEM_COLUMNS
from sweeps.errors import UserError, nearest
from trainables.diagnostics.closed_forms import ENCODINGS, vectors_of
from trainables.diagnostics.similarity import PUBLISHED_OFFSETS

POSITIONS_FILE = "positional_diag.csv"


def check_format(figures: str) -> None:
    """Refuse a value of `--figures` that names no format.

    Raises:
        UserError: If it does not.
    """
    if figures not in FORMATS:
        raise UserError(f"--figures {figures}: no such format; {nearest(figures, FORMATS)}")


def made_folder(to: Path) -> None:
    """Make a folder for `--to`.

    Raises:
        UserError: If that is not possible.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--to {to}: cannot be a folder: {error.strerror}") from error


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a CSV file, numbers with 9 significant digits; return its path."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{cell:.9g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    return path


def write_system_csv(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """Write what sequences cost: MiB of memory (of the GPU, or resident), bytes of state; no window is empty."""
    return write_rows(path, SYSTEM_COLUMNS, rows)


def write_positions_csv(path: Path, width: int = 64) -> Path:
    """Write the similarity by offset of the π-spiral and of RoPE."""
    import numpy as np

    offsets = np.array(PUBLISHED_OFFSETS)
    start = np.zeros_like(offsets)
    columns = [vectors_of(ENCODINGS[name], width).between(start, offsets).tolist() for name in ("pi", "rope")]
    header = ("offset", "cosine_sim_pi_spiral", "cosine_sim_rope")
    return write_rows(path, header, zip(PUBLISHED_OFFSETS, *columns, strict=True))
