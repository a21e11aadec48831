"""What the journals of trials say: records, statistics, tables and figures. Imports neither torch nor Ray."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from analysis.results.export import What


def load(source: str | Path, what: What = "replicates", *, scale: str = "laptop") -> pd.DataFrame:
    """Return results as a tidy pandas frame; see `analysis.frame.load`."""
    from analysis.frame import load as read  # only now: no module of ours needs pandas

    return read(source, what, scale=scale)
