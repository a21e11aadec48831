"""Figures and files inside a page: SVG that follows the page's colours and font, and downloads as data."""

from __future__ import annotations

import base64
import gzip
import html
import io
import re
from typing import TYPE_CHECKING

from analysis.report.plotting import BLUE, FAINT, GREY, INK, STRIPE, VERMILLION, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {
    BLUE: "var(--blue)",
    VERMILLION: "var(--red)",
    GREY: "var(--soft)",
    INK: "var(--ink)",
    FAINT: "var(--line)",
    STRIPE: "var(--stripe)",
    "#ffffff": "var(--ground)",
}
_FAMILY = re.compile(r"'DejaVu Sans'[^;\"]*sans-serif")
_DROPPED = re.compile(r"\s*<metadata>.*?</metadata>|\s*<defs>\s*<style.*?</defs>", flags=re.DOTALL)
_REFERENCE = re.compile(r'((?:id="|href="#|url\(#))')


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an `svg` element for a page: its text is text, its colours are the page's variables.

    Args:
        figure: Drawn with the colours of `plotting`.
        name: Unique on the page; begins the ids in the figure.
        label: What it shows, for those who do not see it.
    """
    import matplotlib as mpl

    stream = io.StringIO()
    with style():
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": name})
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    head, _, rest = _DROPPED.sub("", text).partition(">")
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    text = _FAMILY.sub("var(--font)", _REFERENCE.sub(rf"\1{name}-", f"{head}>{rest}"))
    for colour, variable in _COLOURS.items():
        text = text.replace(colour.lower(), variable)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)


def download(content: bytes, media_type: str) -> str:
    """Return content as a `data:` address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def gzipped(content: bytes) -> bytes:
    """Compress content; equal content gives equal bytes."""
    return gzip.compress(content, mtime=0)
