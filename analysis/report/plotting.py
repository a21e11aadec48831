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

FORMATS = ("svg", "png", "pdf")
"""What a figure can be saved as."""

WIDTH_INCHES = 8.0
"""At 100 dots an inch the 800 pixels of a README."""

COLUMNS = 4
"""Panels in a row."""

BLUE, VERMILLION, GREY, INK, FAINT = "#0072B2", "#D55E00", "#6E6E6E", "#222222", "#D9D9D9"
STRIPE = "#F6F6F6"
"""Ground of every other row."""

_COLOURS = {"better": BLUE, "worse": VERMILLION, "higher": BLUE, "lower": VERMILLION, "baseline": INK}
_SIDES = {
    "minimise": ("← better", "worse →"),
    "maximise": ("← worse", "better →"),
    "none": ("← lower", "higher →"),
}
CHARACTER_INCHES = 0.076
"""Mean advance of DejaVu Sans at 9.5 points."""
LINE_CHARACTERS = 104
"""Characters of a line as long as a figure is wide, at 9 points."""
TITLE_CHARACTERS = 70
"""Characters of a title as long as a figure is wide; a longer one is smaller."""
_WIDEST_NAMES_INCHES = 2.6


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


def grid_of_panels(count: int, top: float = 1.05) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels of the same axes, at most four in a row, and the panels.

    Args:
        count: Of the panels.
        top: Inches above them, for the headline and one line of a panel's title.
    """
    from matplotlib.figure import Figure

    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    bottom, panel = 0.55, 1.65
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


def row_canvas(names: Sequence[str], *, side_text_inches: float, lines_below: int = 1) -> tuple[Figure, Axes]:
    """Return a figure with a row for each name, the first on top, and space for text on the right.

    Args:
        names: Of the rows; a long one stands on two lines.
        side_text_inches: Space on the right.
        lines_below: Lines of text that will be written at the foot.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    row_inches, top, bottom = 0.44, 0.80, 0.66 + 0.14 * lines_below
    names = [_on_two_lines(name) for name in names]
    left = min(
        _WIDEST_NAMES_INCHES,
        0.25 + CHARACTER_INCHES * max(len(line) for name in names for line in name.split("\n")),
    )
    height = top + bottom + row_inches * len(names)
    figure = Figure(figsize=(WIDTH_INCHES, height))
    axes = figure.add_axes(
        (
            left / WIDTH_INCHES,
            bottom / height,
            (WIDTH_INCHES - left - side_text_inches) / WIDTH_INCHES,
            row_inches * len(names) / height,
        )
    )
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first row on top
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    for height_of_row in range(0, len(names), 2):
        axes.axhspan(height_of_row - 0.5, height_of_row + 0.5, color=STRIPE, linewidth=0, zorder=0)
    return figure, axes


def _on_two_lines(name: str) -> str:
    """Return a name that is too wide with a break at the underscore nearest to its middle."""
    breaks = [place for place, character in enumerate(name) if character == "_"]
    if len(name) * CHARACTER_INCHES <= _WIDEST_NAMES_INCHES - 0.25 or not breaks:
        return name
    middle = min(breaks, key=lambda place: abs(place - len(name) / 2))
    return f"{name[:middle]}\n{name[middle:]}"


def draw_estimate(
    axes: Axes,
    height: float,
    reading: str,
    estimate: tuple[float | None, float | None, float | None],
    points: Sequence[float],
) -> None:
    """Draw one row: the value with its interval (`estimate`: value, low, high) above, the seeds below."""
    colour, (centre, low, high) = colour_of(reading), estimate
    axes.plot(points, [height + 0.22] * len(points), "o", color=colour, alpha=0.55, markersize=4, mew=0, zorder=3)
    if low is not None and high is not None:
        axes.plot([low, high], [height - 0.1] * 2, color=colour, linewidth=2.2, zorder=4)
    if centre is not None:
        hollow = reading in {"failures", "pruned", "incomplete"}
        face = "white" if hollow else colour
        axes.plot([centre], [height - 0.1], "D", color=colour, mfc=face, markersize=6.5, mew=1.5, zorder=5)


def name_sides(axes: Axes, direction: str) -> None:
    """Write above the axes which side of 0 is better."""
    left, right = _SIDES[direction]
    for text, alignment, shift in ((left, "right", -6), (right, "left", 6)):
        axes.annotate(
            text,
            (0, 1),
            xycoords=("data", "axes fraction"),
            xytext=(shift, 4),
            textcoords="offset points",
            ha=alignment,
            fontsize=8.5,
            color=INK,
        )


def side_text(axes: Axes, height: float, text: str, colour: str) -> None:
    """Write beside a row."""
    axes.annotate(
        text,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(10, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=colour,
        linespacing=1.35,
        annotation_clip=False,
    )


def colour_of(reading: str) -> str:
    """Return the colour of a conclusion."""
    return _COLOURS.get(reading, GREY)


def headline(figure: Figure, title: str, subtitle: str) -> None:
    """Print a title and a grey line or two below it at the figure's top left."""
    height = figure.get_figheight()
    size = min(12.0, 12.0 * TITLE_CHARACTERS / max(1, len(title)))
    figure.text(0.02, 1 - 0.14 / height, title, va="top", fontsize=size, fontweight="bold", color=INK)
    figure.text(0.02, 1 - 0.40 / height, subtitle, va="top", fontsize=9, color=GREY, linespacing=1.35)


def written(figure: Figure, path: Path, columns: Sequence[str], records: Iterable[Sequence[Any]]) -> list[Path]:
    """Write a figure to `path`, whose suffix chooses the format, and its data as a CSV file next to it.

    Returns:
        Both files.
    """
    return [_save(figure, path), _write_csv(path, columns, records)]


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with style():
        figure.savefig(path, dpi=100, metadata=undated.get(path.suffix))
    return path


def _write_csv(figure: Path, columns: Sequence[str], records: Iterable[Sequence[Any]]) -> Path:
    """Write a figure's data, with 6 significant digits; return the path."""
    path = figure.with_suffix(".csv")
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in record] for record in records)
    return path
