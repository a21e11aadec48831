"""What all figures share: colours, style, and reproducible files.

Text is drawn as paths of matplotlib's own font, ids are salted, and no date is written. Colours are Okabe and
Ito's, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 8.0
"""At 100 dots an inch the 800 pixels of a README."""

COLUMNS = 4
"""Panels in a row."""

BLUE, VERMILLION, GREY, INK, FAINT = "#0072B2", "#D55E00", "#6E6E6E", "#222222", "#D9D9D9"
STRIPE = "#F6F6F6"
"""Ground of every other row."""


@contextmanager
def style() -> Iterator[None]:
    """Apply the common style; the user's own matplotlib settings have no effect on the figures."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "svg.hashsalt": "phasesweep",
                "svg.fonttype": "path",
                "pdf.fonttype": 42,
                "font.size": 9.5,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.spines.left": False,
                "axes.edgecolor": GREY,
                "axes.labelcolor": INK,
                "axes.axisbelow": True,
                "xtick.color": INK,
                "ytick.color": INK,
                "text.color": INK,
            }
        )
        yield


def grid_of_panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels of the same axes, at most four in a row, and the panels."""
    from matplotlib.figure import Figure

    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    top, bottom, panel = 1.05, 0.55, 1.65
    height = top + bottom + panel * rows
    figure = Figure(figsize=(WIDTH_INCHES, height))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    figure.subplots_adjust(
        left=0.085, right=0.985, top=1 - top / height, bottom=bottom / height, wspace=0.1, hspace=0.32
    )
    panels: list[Axes] = list(grid.flat)
    for inner in grid[:, 1:].flat:
        inner.tick_params(axis="y", length=0)
    for unused in panels[count:]:
        unused.set_visible(False)
    for above_gap in panels[max(0, count - columns) : count]:
        above_gap.tick_params(labelbottom=True)
    return figure, panels[:count]


def headline(figure: Figure, title: str, subtitle: str) -> None:
    """Print a title and a grey line or two below it at the figure's top left."""
    height = figure.get_figheight()
    figure.text(0.02, 1 - 0.14 / height, title, va="top", fontsize=12, fontweight="bold", color=INK)
    figure.text(0.02, 1 - 0.40 / height, subtitle, va="top", fontsize=9, color=GREY, linespacing=1.35)


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` to `path`, whose suffix chooses the format; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with style():
        figure.savefig(path, dpi=100, metadata=undated.get(path.suffix))
    return path


def write_csv(figure: Path, columns: Sequence[str], records: Iterable[Sequence[Any]]) -> Path:
    """Write a figure's data as a CSV file next to it, with 6 significant digits; return its path."""
    path = figure.with_suffix(".csv")
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in record] for record in records)
    return path
