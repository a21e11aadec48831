"""`diagnose` without a study: encodings of positions in closed form. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from sweeps.cli.diagnosis.files import (
    POSITIONS_FILE,
    check_format,
    made_folder,
    write_positions_csv,
    write_rows,
)
from sweeps.console import Output, text_table
from sweeps.errors import UserError, nearest, writing
from trainables.diagnostics.closed_forms import ENCODINGS, vectors_of
from trainables.diagnostics.curves import curves_of
from trainables.diagnostics.diagnosis import MIN_POSITIONS, EncodingDiagnosis, diagnose
from trainables.diagnostics.similarity import COLLISION, FAR
from trainables.diagnostics.vectors import PositionVectors

DEFAULT_POSITIONS = 100_000
DEFAULT_WIDTH = 64
MOST_POSITIONS = 10_000_000


def diagnose_encodings(
    output: Output, names: Sequence[str], *, positions: int, width: int, to: Path | None, figures: str
) -> None:
    """Print what is measured of encodings; write it and figures to a folder if `to` is given."""
    check_format(figures)
    if not MIN_POSITIONS <= positions <= MOST_POSITIONS:
        raise UserError(f"--positions {positions}: must be from {MIN_POSITIONS} to {MOST_POSITIONS:,}")
    if width % 2 or width < 4:
        raise UserError(f"--width {width}: must be even and at least 4; a pair of channels turns together")
    for name in names:
        if name not in ENCODINGS:
            raise UserError(f"--encoding {name}: no such encoding; {nearest(name, ENCODINGS)}")
    chosen = [vectors_of(ENCODINGS[name], width, name=name) for name in dict.fromkeys(names or ENCODINGS)]
    if to is not None:
        made_folder(to)
    found = [diagnose(vectors, positions) for vectors in chosen]
    output.show(
        {"encodings": [asdict(each) for each in found], "model": None}, lambda out: _print(out, found, width)
    )
    if to is not None:
        written = _write(chosen, found, positions, to, figures)
        output.say(f"wrote {', '.join(str(path) for path in written)}")


def _print(out: Console, found: Sequence[EncodingDiagnosis], width: int) -> None:
    headers = ("encoding", "rank", "collide", "far similarity", "at lag", "recurrence")
    table = text_table(*headers, "flatness", "gaps", "N·D*/ln N", "n·‖nα‖", right=range(1, 10))
    for each in found:
        table.add_row(
            each.encoding,
            _text(each.rank),
            f"{each.collisions.rate:.2%}",
            _text(each.collisions.far_similarity, ".4f"),
            _text(each.collisions.far_lag),
            _text(each.recurrence_lag),
            _text(each.flatness, ".2g"),
            _text(None if each.gaps is None else each.gaps.num_different),
            _text(each.discrepancy, ".3f"),
            _text(each.approximation, ".4f"),
        )
    out.print(table)
    out.print(f"\n{_legend(found[0], width)}", markup=False)


def _legend(first: EncodingDiagnosis, width: int) -> str:
    return (
        f"over the first {first.num_positions:,} positions, vectors of width {width}; –: there is no such thing\n"
        f"collide: share of pairs of positions with a cosine above {COLLISION:g}; far similarity: the "
        f"highest mean cosine of positions at least {FAR:,} apart, and at which lag\n"
        "recurrence: the first lag with a cosine of 1 within a millionth; gaps: different gaps between the phases, "
        "three at most for multiples of a number\n"
        f"flatness of the spectrum over positions: white noise has {first.white_noise_flatness:.4f}, a pure tone "
        "almost 0\n"
        "N·D*/ln N: discrepancy of the phases; n·‖nα‖: its least value, the larger the worse fractions approximate "
        "the constant (at most .4472 in the long run)"
    )


def _text(value: float | None, form: str = "d") -> str:
    return "–" if value is None else format(value, form)


def _write(
    chosen: Sequence[PositionVectors], found: Sequence[EncodingDiagnosis], positions: int, to: Path, suffix: str
) -> list[Path]:
    """Write the tables and figures; return the files."""
    from analysis.report import encodings as figures

    curves = [curves_of(vectors, positions) for vectors in chosen]
    by_lag = {c.encoding: (c.lags, c.lowest, c.highest) for c in curves if c.lags}
    spectra = {c.encoding: (c.frequencies, c.power) for c in curves if c.power}
    sizes = {c.encoding: (c.sizes, c.discrepancy) for c in curves if c.discrepancy}
    with writing(f"--to {to}"):
        return [
            *figures.similarity_by_lag(by_lag, to / f"similarity.{suffix}"),
            *figures.spectrum(spectra, to / f"spectrum.{suffix}"),
            *figures.discrepancy(sizes, to / f"discrepancy.{suffix}"),
            _write_offsets(found, to / "offsets.csv"),
            write_positions_csv(to / POSITIONS_FILE),
        ]


def _write_offsets(found: Sequence[EncodingDiagnosis], path: Path) -> Path:
    rows = [
        (each.encoding, at.offset, at.mean, at.std, at.low, at.high) for each in found for at in each.at_offsets
    ]
    return write_rows(path, ("encoding", "offset", "mean", "std", "low", "high"), rows)
