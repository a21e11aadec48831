"""Where local data lies."""

from __future__ import annotations

import os
from pathlib import Path

from sweeps.errors import UserError


def data_dir_from_environment() -> Path | None:
    """Return `PHASESWEEP_DATA` as a path.

    Raises:
        UserError: If it names no folder.
    """
    text = os.environ.get("PHASESWEEP_DATA")
    if not text:
        return None
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise UserError(f"PHASESWEEP_DATA={text}: no such folder; correct it or unset it")
    return path
